"""The OpenAI dialect: `/v1/embeddings` and `/v1/models`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from emberd.errors import EmberdError
from emberd.server.http.bodies import Body, decode_body
from emberd.server.http.calls import Call
from emberd.server.http.embedding import embed
from emberd.server.http.models import ModelRow, find_model, here, list_models
from emberd.server.http.replies import Reply, json_reply, rows_reply
from emberd.server.http.rows import base64_blocks, encode_items, number_blocks

__all__ = ["embeddings", "error_value", "model", "models"]

_NAMES = {"texts": "input", "prompt": "prompt_name"}


class EmbeddingsBody(Body, frozen=True, kw_only=True):
    """`truncate` and `prompt_name` are ours; OpenAI's `user` is ignored."""

    input: str | list[str]
    model: str | None = None
    dimensions: int | None = None
    encoding_format: Literal["float", "base64"] | None = None
    truncate: Literal["end", "start", "error"] = "end"
    prompt_name: str | None = None


async def embeddings(call: Call) -> Reply:
    """POST /v1/embeddings"""
    body = await decode_body(call.body, EmbeddingsBody, "input")
    found = await embed(
        call,
        _NAMES,
        texts=body.input,
        model=body.model,
        dimensions=body.dimensions,
        truncate=body.truncate,
        prompt=body.prompt_name,
    )
    make = base64_blocks if body.encoding_format == "base64" else number_blocks
    data = await encode_items(_items(make(found.vectors)), found.vectors.size)
    usage = {"prompt_tokens": found.tokens, "total_tokens": found.tokens}
    around = {"object": "list", "data": None, "model": found.model, "usage": usage}
    return rows_reply(data, found.headers, around, "data")


async def models(call: Call) -> Reply:
    """GET /v1/models"""
    found = here(await list_models(call))
    return json_reply({"object": "list", "data": [_model_value(row) for row in found]})


async def model(call: Call) -> Reply:
    """GET /v1/models/{id}"""
    return json_reply(_model_value(find_model(await list_models(call), call.tail)))


def error_value(error: EmberdError, status: int) -> dict[str, Any]:
    """OpenAI's shape of an error; the code is emberd's in lower case."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    if status == 429:
        kind = "rate_limit_error"
    return {
        "error": {
            "message": error.message,
            "type": kind,
            "param": error.details.get("field"),
            "code": error.code.lower(),
        }
    }


def _items(blocks: Iterable[list[Any]]) -> Iterator[list[dict[str, Any]]]:
    index = itertools.count()
    for block in blocks:
        yield [{"object": "embedding", "embedding": row, "index": next(index)} for row in block]


def _model_value(row: ModelRow) -> dict[str, Any]:
    # Clients of OpenAI's expect the first four; nobody knows when a model was made.
    return {
        "id": row.name,
        "object": "model",
        "created": 0,
        "owned_by": "emberd",
        "dimensions": row.dim,
        "max_tokens": row.max_tokens,
    }
