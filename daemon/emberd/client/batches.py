"""Cutting calls of any length into requests, and keeping several of them in flight."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import msgspec

from emberd.client.calls import Call
from emberd.client.replies import moved
from emberd.client.settings import ClientSettings, Timeout
from emberd.client.steps import Steps
from emberd.errors import EmberdError, InvalidParamsError, TextTooLongError
from emberd.wire.hello import ServerLimits

__all__ = ["Batch", "BatchPlan", "listed_strings", "run_batches", "spans", "utf8_size"]

_ITEMS: Final = 512
_BATCH_BYTES: Final = 2 << 20
_IN_FLIGHT: Final = 8
_ENVELOPE_BYTES: Final = 16_384


class BatchPlan(msgspec.Struct, frozen=True):
    """How a call is cut."""

    items: int = _ITEMS
    size_bytes: int = _BATCH_BYTES
    frame_bytes: int = 64 << 20
    in_flight: int = _IN_FLIGHT

    @classmethod
    def within(cls, limits: ServerLimits, *, items: int = _ITEMS) -> BatchPlan:
        """The plan for a daemon with these limits; at most `items` of whatever is sent a time."""
        return cls(
            items=min(items, limits.texts),
            size_bytes=min(_BATCH_BYTES, limits.frame_bytes // 2),
            frame_bytes=limits.frame_bytes - _ENVELOPE_BYTES,
            in_flight=min(_IN_FLIGHT, limits.requests_in_flight),
        )


class Batch(msgspec.Struct, frozen=True):
    """One request; `offset` is the index of its first item in the whole call."""

    offset: int
    count: int
    params: dict[str, Any]


def listed_strings(values: Iterable[Any], field: str) -> list[str]:
    """The values as a list. Raises InvalidParamsError, naming the first that is no str."""
    listed = list(values)
    for index, value in enumerate(listed):
        if not isinstance(value, str):
            place = f"{field}[{index}]"
            raise InvalidParamsError(
                f"{place} is of type {type(value).__name__}; every one of them must be a str.",
                details={"field": place, "index": index},
            )
    return listed


def utf8_size(text: str) -> int:
    """Bytes of `text` in a message."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def spans(sizes: Iterable[int], plan: BatchPlan, field: str) -> Iterator[slice]:
    """Neighbours that go into one request; each item's `sizes` are bytes.

    Raises TextTooLongError, naming the item of `field`, for one that no message can hold.
    """
    start, end, filled = 0, 0, 0
    for index, size in enumerate(sizes):
        if size > plan.frame_bytes:
            raise TextTooLongError(
                f"{field}[{index}] has {size:,} bytes, more than one message may have. "
                "Cut it into passages.",
                details={"field": f"{field}[{index}]", "index": index},
            )
        if index > start and (index - start >= plan.items or filled + size > plan.size_bytes):
            yield slice(start, index)
            start, filled = index, 0
        end, filled = index + 1, filled + size
    if end > start:
        yield slice(start, end)


def run_batches(
    settings: ClientSettings,
    method: str,
    batches: Iterable[Batch],
    take: Callable[[Batch, Any], None],
    *,
    in_flight: int = _IN_FLIGHT,
    timeout_s: Timeout = msgspec.UNSET,
) -> Steps[None]:
    """Send the batches, `in_flight` at a time, and `take` their results in order."""
    waiting: deque[tuple[Batch, Call]] = deque()
    try:
        for batch in batches:
            if len(waiting) >= in_flight:
                take(*(yield from _finish(waiting)))
            call = Call(settings, method, batch.params, timeout_s)
            yield from call.start()
            waiting.append((batch, call))
        while waiting:
            take(*(yield from _finish(waiting)))
    finally:
        for _, call in waiting:
            call.abandon()


def _finish(waiting: deque[tuple[Batch, Call]]) -> Steps[tuple[Batch, Any]]:
    batch, call = waiting.popleft()
    try:
        return batch, (yield from call.finish())
    except EmberdError as exc:
        placed = moved(exc, batch.offset)
        if placed is exc:
            raise
        raise placed from exc
