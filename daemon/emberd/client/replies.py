"""Reading results: plain values from the wire to types, and the parts of a split call to one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from emberd.client.results import EmbedResult
from emberd.errors import (
    EmbeddingFailedError,
    EmberdError,
    InvalidParamsError,
    ProtocolError,
    UpstreamUnavailableError,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "bare_vectors",
    "embed_result",
    "merged",
    "moved",
    "moved_row",
    "read",
    "room_for",
    "vectors_of",
]

T = TypeVar("T")

_MOST_DIM: Final = 1 << 20  # beyond, a part's own decoding refuses it
_PER_TEXT: Final = "ids|metadata|queries|texts|vectors"  # lists whose parts a split call sends


class _EmbedReply(msgspec.Struct, frozen=True):
    vectors: Any
    model: str = ""
    fingerprint: str = ""
    hits: dict[str, int] = {}
    computed: int = 0
    deduplicated: int = 0
    tokens: int = 0
    truncated: list[int] = []
    errors: list[dict[str, Any]] = []
    instead_of: str | None = None


def read(value: Any, kind: type[T]) -> T:
    """`value` as `kind`, with unknown fields left out. Raises ProtocolError."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as exc:
        raise _unreadable(str(exc)) from exc


def vectors_of(
    value: Any, rows: int, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """The (rows, dim) float32 array of a reply, in `out` where it fits. Raises ProtocolError."""
    try:
        vectors = _decoder()(value, out)
    except InvalidParamsError as exc:
        raise _unreadable(exc.message) from exc
    if len(vectors) != rows:
        raise _unreadable(f"{rows} rows were asked for and {len(vectors)} came")
    return vectors


@cache
def _decoder() -> Callable[[object, NDArray[np.float32] | None], NDArray[np.float32]]:
    # To import again what is there takes longer than to read one vector's header.
    from emberd.wire.vectors import decode_vectors  # noqa: PLC0415 - NumPy, only where needed

    return decode_vectors


def room_for(value: Any, rows: int) -> NDArray[np.float32] | None:
    """An empty (rows, dim) array for all the vectors of a call, of which `value` answers a part;
    None where that has no vectors."""
    vectors = value.get("vectors") if type(value) is dict else None
    shape = vectors.get("shape") if type(vectors) is dict else None
    if not (isinstance(shape, list) and len(shape) == 2 and type(shape[1]) is int):
        return None
    if not 0 <= shape[1] <= _MOST_DIM:
        return None
    import numpy as np  # noqa: PLC0415 - only where needed

    return np.empty((rows, shape[1]), np.float32)


def embed_result(
    value: Any, rows: int, *, is_bare: bool = False, out: NDArray[np.float32] | None = None
) -> EmbedResult:
    """The result of one `embed` request of `rows` texts, its vectors in `out` where they fit.

    Raises ProtocolError, and for a caller who sees the bare vectors UpstreamUnavailableError where
    another model made them.
    """
    if is_bare and _is_of_the_model_asked(value):
        # Nobody looks at the rest, and reading it costs as much as a ping.
        found = vectors_of(value.get("vectors"), rows, out)
        return EmbedResult(vectors=found, fingerprint=str(value.get("fingerprint", "")))
    reply = read(value, _EmbedReply)
    if is_bare and reply.instead_of:
        raise UpstreamUnavailableError(
            f"{reply.instead_of} cannot be reached. {reply.model} would answer instead: pass "
            "fallback=True, or call embed_detailed, whose result names the model."
        )
    return EmbedResult(
        vectors=vectors_of(reply.vectors, rows, out),
        model=reply.model,
        fingerprint=reply.fingerprint,
        hits=reply.hits,
        computed=reply.computed,
        deduplicated=reply.deduplicated,
        tokens=reply.tokens,
        truncated=reply.truncated,
        errors=reply.errors,
        instead_of=reply.instead_of,
    )


def bare_vectors(value: Any, rows: int) -> NDArray[np.float32]:
    """The vectors of one `embed` request alone. Raises as `embed_result` does for a bare one."""
    if _is_of_the_model_asked(value):
        return vectors_of(value.get("vectors"), rows)
    return embed_result(value, rows, is_bare=True).vectors


def merged(parts: list[EmbedResult], whole: NDArray[np.float32] | None = None) -> EmbedResult:
    """One result of the parts of a call, in order; indexes count from the call's first text.
    `whole` is the array that the parts' vectors were meant to be in.

    Raises EmbeddingFailedError where the model changed between parts: such vectors cannot be
    compared.
    """
    if len(parts) == 1:
        return parts[0]
    import numpy as np  # noqa: PLC0415 - only where needed

    if len({part.fingerprint for part in parts}) > 1:
        raise EmbeddingFailedError(
            "The model was exchanged while this call ran, so its vectors do not fit each other. "
            "Call again."
        )
    offsets = [0]
    for part in parts:
        offsets.append(offsets[-1] + len(part))
    hits: Counter[str] = Counter()
    for part in parts:
        hits.update(part.hits)
    placed = list(zip(offsets, parts, strict=False))
    if whole is None or any(part.vectors.base is not whole for part in parts):
        whole = np.concatenate([part.vectors for part in parts])
    return EmbedResult(
        vectors=whole,
        model=parts[0].model,
        fingerprint=parts[0].fingerprint,
        instead_of=parts[0].instead_of,
        hits=dict(hits),
        computed=sum(part.computed for part in parts),
        deduplicated=sum(part.deduplicated for part in parts),
        tokens=sum(part.tokens for part in parts),
        truncated=[offset + index for offset, part in placed for index in part.truncated],
        errors=[moved_row(error, offset) for offset, part in placed for error in part.errors],
    )


def moved(error: EmberdError, offset: int) -> EmberdError:
    """The error of a part, with its text's index as in the whole call."""
    index = error.details.get("index")
    if not offset or not isinstance(index, int):
        return error
    wire = moved_row({"index": index, "message": error.message, "details": error.details}, offset)
    return type(error)(
        wire["message"], retry_after_ms=error.retry_after_ms, details=wire["details"]
    )


def moved_row(error: dict[str, Any], offset: int) -> dict[str, Any]:
    """The same for an error of `partial`."""
    index = error.get("index")
    if not offset or not isinstance(index, int):
        return error
    place = re.compile(rf"\b({_PER_TEXT})\[{index}\]")
    new = rf"\1[{index + offset}]"
    details = dict(error.get("details") or {})
    if isinstance(details.get("field"), str):
        details["field"] = place.sub(new, details["field"])
    if details.get("index") == index:
        details["index"] = index + offset
    message = place.sub(new, str(error.get("message", "")))
    return {**error, "index": index + offset, "message": message, "details": details}


def _is_of_the_model_asked(value: Any) -> bool:
    return type(value) is dict and not value.get("instead_of")


def _unreadable(why: str) -> ProtocolError:
    return ProtocolError(
        f"The daemon's reply cannot be read: {why}. Are client and daemon of one version? "
        "`emberd restart` starts the installed one."
    )
