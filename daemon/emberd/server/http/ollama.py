"""The Ollama dialect: `/api/embed`, `/api/embeddings`, `/api/tags` and `/api/version`."""

from __future__ import annotations

import time
from typing import Any

from emberd import __version__
from emberd.errors import EmberdError
from emberd.server.http.bodies import Body, decode_body
from emberd.server.http.calls import Call
from emberd.server.http.embedding import Embedded, embed
from emberd.server.http.models import ModelRow, list_models
from emberd.server.http.replies import Reply, json_reply, rows_reply
from emberd.server.http.rows import encode_items, number_blocks, shortest

__all__ = ["embed_input", "embed_prompt", "error_value", "tags", "version"]

_TAG = ":latest"  # Ollama's clients add it to names without a tag, and look for names with it


class EmbedBody(Body, frozen=True, kw_only=True):
    model: str
    input: str | list[str] | None = None
    truncate: bool | None = None
    dimensions: int | None = None


class EmbeddingsBody(Body, frozen=True, kw_only=True):
    model: str
    prompt: str = ""


async def embed_input(call: Call) -> Reply:
    """POST /api/embed"""
    started = time.perf_counter_ns()
    body = await decode_body(call.body, EmbedBody, "input")
    if not body.input:
        return await _loaded(call, body.model, {"model": body.model, "embeddings": []})
    truncate = "error" if body.truncate is False else "end"
    found = await _embed(
        call, body.model, "input", body.input, truncate=truncate, dimensions=body.dimensions
    )
    rows = await encode_items(number_blocks(found.vectors), found.vectors.size)
    around = {
        "model": body.model,
        "embeddings": None,
        "total_duration": time.perf_counter_ns() - started,
        "prompt_eval_count": found.tokens,
    }
    return rows_reply(rows, found.headers, around, "embeddings")


async def embed_prompt(call: Call) -> Reply:
    """POST /api/embeddings, which `/api/embed` has replaced: one text."""
    body = await decode_body(call.body, EmbeddingsBody, "prompt")
    if not body.prompt:
        return await _loaded(call, body.model, {"embedding": []})
    found = await _embed(call, body.model, "prompt", body.prompt, truncate="end")
    row = shortest(found.vectors)[0].tolist()
    return json_reply({"embedding": row}, headers=found.headers)


async def tags(call: Call) -> Reply:
    """GET /api/tags: the models on this machine."""
    rows = [row for row in await list_models(call) if row.state != "available"]
    return json_reply({"models": [_tag_value(row) for row in rows]})


async def version(call: Call) -> Reply:
    """GET /api/version: emberd's own."""
    return json_reply({"version": __version__})


def error_value(error: EmberdError, status: int) -> dict[str, Any]:
    """Ollama's shape of an error."""
    return {"error": error.message}


async def _embed(
    call: Call, model: str, field: str, texts: str | list[str], **params: Any
) -> Embedded:
    # The answer's `model` is the name as the client wrote it, so another must not answer.
    params["fallback"] = False
    return await embed(call, {"texts": field}, texts=texts, model=_name_of(model), **params)


async def _loaded(call: Call, model: str, value: dict[str, Any]) -> Reply:
    """The answer to a request without texts, with which clients warm a model up."""
    await call.ask("models.load", name=_name_of(model))
    return json_reply(value)


def _name_of(model: str) -> str:
    return model.removesuffix(_TAG)


def _tag_value(row: ModelRow) -> dict[str, Any]:
    name = row.name + _TAG
    return {
        "name": name,
        "model": name,
        "size": row.size_bytes,
        "digest": row.fingerprint,
        "details": {"parent_model": "", "format": "onnx", "quantization_level": row.precision},
    }
