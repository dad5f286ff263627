"""What the three kinds of servers speak: requests from texts, vectors from answers. Pure."""

from __future__ import annotations

import binascii
import json
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

import msgspec
import numpy as np
from numpy.typing import NDArray

from emberd_upstream.settings import Kind

__all__ = ["Answer", "MalformedError", "address_of", "body_of", "read_answer"]

Truncate = Literal["end", "start", "error"]

_PATHS: dict[Kind, str] = {
    "openai": "/v1/embeddings",
    "ollama": "/api/embed",
    "tei": "/embed",
}


class MalformedError(Exception):
    """What came back is no answer to what was asked; says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A row for each text, in order: `(n,) float32`, with numbers that may not be finite."""

    rows: list[NDArray[np.float32]]
    tokens: int
    """Of all texts together, as the server counted them; 0 where it does not say."""


def address_of(url: str, kind: Kind) -> str:
    """Where to post to: a server's address, its API's base or the very path may be given."""
    parts = urlsplit(url)
    path, wanted = parts.path.rstrip("/"), _PATHS[kind]
    last = wanted.rpartition("/")[2]
    if not path:
        path = wanted
    elif path.rpartition("/")[2] != last:
        # A base ends where the dialect's own path begins: https://host/openai/v1
        path += f"/{last}" if kind != "ollama" or path.endswith("/api") else wanted
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def body_of(
    kind: Kind,
    model: str,
    texts: Sequence[str],
    truncate: Truncate,
    *,
    dimensions: int = 0,
    is_base64: bool = False,
) -> dict[str, Any]:
    """The body of a request, for JSON."""
    cut: dict[str, Any] = {"dimensions": dimensions} if dimensions else {}
    if kind == "tei":
        side = "Left" if truncate == "start" else "Right"
        ends = {"truncate": truncate != "error", "truncation_direction": side}
        return {"inputs": list(texts), **ends, **cut}
    if kind == "ollama":
        return {"model": model, "input": list(texts), "truncate": truncate != "error", **cut}
    encoding = {"encoding_format": "base64"} if is_base64 else {}
    return {"model": model, "input": list(texts), **encoding, **cut}


def read_answer(kind: Kind, body: bytes, headers: Mapping[str, str], count: int) -> Answer:
    """The vectors of an answer to `count` texts. Raises MalformedError."""
    value = _decoded(body)
    try:
        if kind == "openai":
            rows, tokens = _openai_rows(value, count), value.get("usage", {})
            tokens = tokens.get("prompt_tokens", 0) if isinstance(tokens, Mapping) else 0
        elif kind == "ollama":
            rows, tokens = value["embeddings"], value.get("prompt_eval_count", 0)
        else:
            rows, tokens = value, headers.get("x-compute-tokens", "0")
        vectors = [_row(row) for row in rows]
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as exc:
        raise MalformedError(f"no vectors in what it answered ({_kind_of(exc)})") from exc
    if len(vectors) != count:
        raise MalformedError(f"{len(vectors)} vectors for {count} texts")
    return Answer(vectors, _count(tokens))


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    try:
        return json.loads(body)  # takes NaN, which some servers write
    except (ValueError, RecursionError) as exc:
        raise MalformedError("no whole JSON") from exc


def _openai_rows(value: Any, count: int) -> list[Any]:
    """The rows in the order of the texts, which `index` tells where it is there."""
    data = value["data"]
    indexes = [item.get("index", place) for place, item in enumerate(data)]
    if sorted(indexes) != list(range(count)):
        raise MalformedError(f"vectors with other indexes than those of {count} texts")
    rows: list[Any] = [None] * count
    for index, item in zip(indexes, data, strict=True):
        rows[index] = item["embedding"]
    return rows


def _row(value: Any) -> NDArray[np.float32]:
    """Numbers, or their bytes in base64; null is NaN."""
    if isinstance(value, str):
        return np.frombuffer(b64decode(value, validate=True), "<f4").astype(np.float32)
    if not isinstance(value, list):
        raise TypeError("a vector is a list")
    with np.errstate(over="ignore"):
        row = np.array(value, dtype=np.float64).astype(np.float32)
    if row.ndim != 1:
        raise ValueError("a vector is a list of numbers")
    return row


def _count(tokens: object) -> int:
    try:
        return max(int(tokens), 0)  # type: ignore[call-overload, no-any-return]
    except (TypeError, ValueError, OverflowError):
        return 0


def _kind_of(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:100]}"
