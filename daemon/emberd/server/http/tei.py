"""The dialect of text-embeddings-inference: `/embed` and `/info`.

`/tokenize` is not offered: it answers the tokens themselves, with their places in the text, and
the engine tells how many there are.
"""

from __future__ import annotations

from typing import Any, Literal

from emberd import __version__
from emberd.errors import EmberdError, InvalidParamsError
from emberd.server.http.bodies import Body, decode_body
from emberd.server.http.calls import Call
from emberd.server.http.embedding import embed
from emberd.server.http.models import default_model, list_models
from emberd.server.http.replies import Reply, json_reply, rows_reply
from emberd.server.http.rows import encode_items, number_blocks

__all__ = ["embed_inputs", "error_value", "info"]

_NAMES = {"texts": "inputs", "prompt": "prompt_name"}
_ERROR_TYPES = {429: "Overloaded", 503: "Unhealthy"}


class EmbedBody(Body, frozen=True, kw_only=True):
    inputs: str | list[str]
    truncate: bool | None = None
    truncation_direction: Literal["left", "right", "Left", "Right"] = "right"
    prompt_name: str | None = None
    normalize: bool = True
    dimensions: int | None = None


async def embed_inputs(call: Call) -> Reply:
    """POST /embed: the bare rows."""
    body = await decode_body(call.body, EmbedBody, "inputs")
    if not body.normalize:
        raise InvalidParamsError(
            "normalize: vectors are always of length 1 here; leave it out, or send true.",
            details={"field": "normalize"},
        )
    found = await embed(
        call,
        _NAMES,
        texts=body.inputs,
        dimensions=body.dimensions,
        truncate=_truncate(body),
        prompt=body.prompt_name,
        fallback=False,  # bare rows cannot name another model
    )
    rows = await encode_items(number_blocks(found.vectors), found.vectors.size)
    return rows_reply(rows, found.headers)


async def info(call: Call) -> Reply:
    """GET /info: of the default model, which is what `/embed` runs."""
    model = default_model(await list_models(call))
    engine = call.context.latest_snapshot().engine
    return json_reply(
        {
            "model_id": model.name,
            "model_sha": None,
            "model_dtype": model.precision,
            "model_type": {"embedding": {"pooling": model.pooling} if model.pooling else {}},
            "max_concurrent_requests": engine.queue_limit,
            "max_input_length": model.max_tokens,
            "max_batch_tokens": engine.batch_tokens,
            "max_batch_requests": None,
            "max_client_batch_size": call.context.limits.texts,
            "auto_truncate": False,
            "version": __version__,
        }
    )


def error_value(error: EmberdError, status: int) -> dict[str, Any]:
    """The shape of an error: a message and one of the service's few types."""
    kind = _ERROR_TYPES.get(status, "Validation" if status < 500 else "Backend")
    return {"error": error.message, "error_type": kind}


def _truncate(body: EmbedBody) -> str:
    if not body.truncate:
        return "error"
    return "start" if body.truncation_direction.lower() == "left" else "end"
