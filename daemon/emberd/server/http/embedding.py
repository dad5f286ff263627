"""Texts to vectors for every dialect: one call of the service's `embed`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from emberd.errors import EmberdError, ModelNotFoundError
from emberd.server.http.calls import Call, renamed
from emberd.server.http.models import here, list_models
from emberd.server.http.rows import Vectors
from emberd.wire.vectors import decode_vectors

__all__ = ["Embedded", "embed"]

_INDEXES_SHOWN = 64
_ON_LOOP_BYTES = 4 << 20  # a copy of about a millisecond


@dataclass(frozen=True, slots=True)
class Embedded:
    """The vectors `(n, dim)` float32 of a request and what a reply tells of them."""

    model: str
    vectors: Vectors
    tokens: int
    headers: Mapping[str, str]
    """For what the dialects have no field for: cache hits, and which texts were cut."""


async def embed(call: Call, names: Mapping[str, str], **params: Any) -> Embedded:
    """Ask for vectors; `names` are the dialect's words for the service's parameters.

    Raises EmberdError in the dialect's words; for an unknown model it names those that are here.
    """
    try:
        result = await call.ask("embed", **params, **call.request_options())
    except ModelNotFoundError as exc:
        models = ", ".join(model.name for model in here(await list_models(call)))
        raise ModelNotFoundError(
            f"{exc.message} Models here: {models or 'none yet'}.",
            details={**exc.details, "field": "model"},
        ) from exc
    except EmberdError as exc:
        raise renamed(exc, names) from exc
    return Embedded(
        result["model"],
        await _vectors_of(result["vectors"]),
        result["tokens"],
        _headers_of(result),
    )


async def _vectors_of(value: Mapping[str, Any]) -> Vectors:
    if len(value["data"]) <= _ON_LOOP_BYTES:
        return decode_vectors(value)
    return await asyncio.to_thread(decode_vectors, value)


def _headers_of(result: Mapping[str, Any]) -> dict[str, str]:
    headers = {
        "X-Emberd-Hits": str(sum(result["hits"].values())),
        "X-Emberd-Computed": str(result["computed"]),
    }
    if cut := result["truncated"]:
        shown = " ".join(map(str, cut[:_INDEXES_SHOWN]))
        more = " ..." if len(cut) > _INDEXES_SHOWN else ""
        headers["X-Emberd-Truncated"] = f'{len(cut)};texts="{shown}{more}"'
    return headers
