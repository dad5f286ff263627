"""Following one request that goes beyond the memory tier: what it asked for, and how long each of
its stages took."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from emberd.engine.ledger import request_of
from emberd.engine.text import Request

if TYPE_CHECKING:
    import asyncio

    from emberd.service.embedding import Work

__all__ = ["CURRENT", "Trace", "current_trace"]


class Trace:
    """The laps of a request; each stage lasts from the end of the one before. Made by whoever
    serves a request, for the task that works on it. Event loop only."""

    __slots__ = ("_asked", "_last", "_started", "_works", "seconds", "tiers")

    def __init__(self, started: float) -> None:
        """`started` is of `time.perf_counter`."""
        self._started = self._last = started
        self._works: list[Work] = []
        self._asked: Request | None = None
        self.seconds: dict[str, float] = {}
        self.tiers: dict[str, float] = {}

    def follow(self, work: Work) -> None:
        """The request goes on with this; one for a fallback model replaces what it stands in
        for."""
        if work.tried and self._works:
            self._works.pop()
        self._works.append(work)

    def lap(self, stage: str) -> None:
        """The stage is over."""
        self._add(stage, self._lap_s())

    def tiers_asked(self, timings: Mapping[str, float]) -> None:
        """The tiers were asked, each for so many seconds."""
        self._lap_s()
        for name, seconds in timings.items():
            self.tiers[name] = self.tiers.get(name, 0.0) + seconds

    def asked(self, futures: Sequence[asyncio.Future[Any]]) -> None:
        """These texts were handed to an engine; the first ones tell of the others."""
        if self._asked is None and futures:
            self._asked = request_of(futures[0])

    def computed(self) -> None:
        """Every vector is there, or was given up."""
        whole_s = self._lap_s()
        parts = {} if self._asked is None else _parts_of(self._asked, whole_s)
        self._asked = None
        for stage, seconds in parts.items():
            self._add(stage, seconds)
        self._add("compute", max(whole_s - sum(parts.values()), 0.0))

    def amounts(self) -> tuple[int, dict[str, int], int]:
        """Texts, hits by tier and texts computed, of all that was followed."""
        hits: Counter[str] = Counter()
        for work in self._works:
            hits.update(work.hits)
        texts = sum(len(work.texts) for work in self._works)
        return texts, dict(hits), sum(work.computed for work in self._works)

    def stages(self, seconds: float) -> dict[str, Any] | None:
        """As RequestStages, of a request that took `seconds`; None where there was no lap."""
        if not self._works and not self.seconds:
            return None
        reply_s = max(seconds - (self._last - self._started), 0.0)
        return {**self.seconds, "tiers": self.tiers, "reply": reply_s}

    def _add(self, stage: str, seconds: float) -> None:
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds

    def _lap_s(self) -> float:
        before, self._last = self._last, time.perf_counter()
        return self._last - before


CURRENT: Final[ContextVar[Trace | None]] = ContextVar("emberd_trace", default=None)


def current_trace() -> Trace:
    """That of the request that this task works on; one that nobody reads where there is none."""
    return CURRENT.get() or Trace(time.perf_counter())


def _parts_of(asked: Request, whole_s: float) -> dict[str, float]:
    """What of `whole_s` was before the device had the first text."""
    tokenise_s = max(asked.tokenised_s - asked.submitted_s, 0.0)
    if not asked.started_s:
        # Given up while it waited.
        parts = {"tokenise": tokenise_s} if asked.tokenised_s else {"tokenise": whole_s}
        return parts | {"queue": max(whole_s - parts["tokenise"], 0.0)}
    queue_s = max(asked.started_s - (asked.tokenised_s or asked.submitted_s), 0.0)
    return {"tokenise": tokenise_s, "queue": queue_s}
