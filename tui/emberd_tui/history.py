"""What has been seen: a ring of samples, and windows over it in columns of time.

Columns lie on a grid fixed in time, so a plot scrolls by whole columns and never re-bins what it
has drawn. A stretch without a connection is a gap, which is not the same as a zero.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple

from emberd.wire.snapshot import Snapshot

__all__ = ["CAPACITY", "History", "Sample", "Window"]

CAPACITY = 3_700  # an hour at one a second and some slack, about 1 MB

# A daemon that was stopped, or a machine that slept, leaves a hole without a lost connection.
_LATE_FACTOR = 3.5

# Two clocks never agree to the last digit.
_SAME_S = 0.5


class Sample(NamedTuple):
    """One snapshot's figures; it covers the time from `since` to `at` (seconds, any clock)."""

    since: float
    at: float
    hits_per_s: float
    computed_per_s: float
    p50_ms: float | None
    """None where nothing was asked in the window: idle, not zero."""
    p90_ms: float | None
    p99_ms: float | None
    tiers: tuple[tuple[str, int, int], ...]
    """`(name, hits, misses)` since the daemon's start."""


@dataclass(frozen=True, slots=True)
class Window:
    """A window in columns, oldest first; None where there is nothing to draw."""

    hits: list[float | None]
    computed: list[float | None]
    p50: list[float | None]
    p99: list[float | None]
    hit_ratio: list[float | None]
    gaps: list[bool]
    """Time after the first sample that no sample covers."""


class History:
    """The last `capacity` samples, oldest first."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._samples: deque[Sample] = deque(maxlen=capacity)
        self._is_broken = False

    def __len__(self) -> int:
        return len(self._samples)

    def add(self, at: float, snapshot: Snapshot) -> Sample | None:
        """Keep the figures of a snapshot received at `at`; None where times would go back."""
        last = self._samples[-1] if self._samples else None
        if last is not None and at <= last.at:
            return None
        since = at - snapshot.window_s
        if last is not None and not self._is_broken:
            is_late = at - last.at > _LATE_FACTOR * max(snapshot.window_s, last.at - last.since)
            since = since if is_late else last.at
        if last is not None:
            since = max(since, last.at)
        self._is_broken = False
        sample = _sample(since, at, snapshot)
        self._samples.append(sample)
        return sample

    def put_before(self, samples: Sequence[Sample]) -> None:
        """Put older samples (oldest first) before the first one, as far as they reach and fit."""
        first = self._samples[0].since if self._samples else math.inf
        older = [sample for sample in samples if sample.at <= first + _SAME_S]
        room = (self._samples.maxlen or 0) - len(self._samples)
        self._samples.extendleft(reversed(older[max(len(older) - room, 0) :]))

    def mark_gap(self) -> None:
        """The connection was lost: the next sample does not reach back to the last one."""
        self._is_broken = True

    def recent(self, now: float, window_s: float) -> Iterator[Sample]:
        """The samples of the window that ends at `now`, newest first."""
        up_to = (sample for sample in reversed(self._samples) if sample.at <= now)
        return takewhile(lambda sample: sample.at > now - window_s, up_to)

    def sample_at(self, when: float) -> Sample | None:
        """The sample that covers this moment."""
        for sample in reversed(self._samples):
            if sample.at < when:
                return None
            if sample.since <= when:
                return sample
        return None

    def window(self, now: float, window_s: float, columns: int) -> Window:
        """The window that ends at `now` in `columns` columns.

        Rates and p50 are means over a column, p99 is the highest: a spike stays visible.
        """
        column_s = window_s / columns
        last_column = _column(now, column_s)
        bins: list[list[Sample]] = [[] for _ in range(columns)]
        for sample in self.recent(now, window_s + column_s):
            newest = _column(sample.at, column_s)
            oldest = min(_column(sample.since, column_s) + 1, newest)
            for column in range(oldest, newest + 1):
                index = column - last_column + columns - 1
                if 0 <= index < columns:
                    bins[index].append(sample)
        return _window(bins, self._first_column(last_column, column_s, columns))

    def _first_column(self, last_column: int, column_s: float, columns: int) -> int:
        if not self._samples:
            return columns
        return _column(self._samples[0].at, column_s) - last_column + columns - 1

    def tier_ratios(self, now: float, window_s: float) -> dict[str, float | None]:
        """Hits over lookups of each tier in the window; None where it was not asked."""
        # What the daemon tells of the time before this dashboard has no tiers.
        found = [sample for sample in self.recent(now, window_s) if sample.tiers]
        if not found:
            return {}
        before = {name: (hits, misses) for name, hits, misses in found[-1].tiers}
        if len(found) == 1:
            before = {}
        return {
            name: _ratio((hits, misses), before.get(name, (0, 0)))
            for name, hits, misses in found[0].tiers
        }


def _sample(since: float, at: float, snapshot: Snapshot) -> Sample:
    latency = snapshot.requests.latency
    return Sample(
        since=since,
        at=at,
        hits_per_s=snapshot.texts.hits_per_s,
        computed_per_s=snapshot.texts.computed_per_s,
        p50_ms=latency.p50_ms if latency.count else None,
        p90_ms=latency.p90_ms if latency.count else None,
        p99_ms=latency.p99_ms if latency.count else None,
        tiers=tuple((tier.name, tier.hits, tier.misses) for tier in snapshot.cache.tiers),
    )


def _column(when: float, column_s: float) -> int:
    # A sample's own edge must not fall into the next column by a rounding of 1e-16.
    return math.floor(when / column_s - 1e-6)


def _ratio(after: tuple[int, int], before: tuple[int, int]) -> float | None:
    if after[0] < before[0] or after[1] < before[1]:
        before = (0, 0)  # another daemon has taken over: it counts from zero
    hits, misses = after[0] - before[0], after[1] - before[1]
    return hits / (hits + misses) if hits + misses else None


def _window(bins: list[list[Sample]], first: int) -> Window:
    return Window(
        hits=[_mean(column, lambda sample: sample.hits_per_s) for column in bins],
        computed=[_mean(column, lambda sample: sample.computed_per_s) for column in bins],
        p50=[_mean(column, lambda sample: sample.p50_ms) for column in bins],
        p99=[_highest(column) for column in bins],
        hit_ratio=[_hit_ratio(column) for column in bins],
        gaps=[index > first and not column for index, column in enumerate(bins)],
    )


def _mean(column: Sequence[Sample], figure: Callable[[Sample], float | None]) -> float | None:
    found = [value for sample in column if (value := figure(sample)) is not None]
    return sum(found) / len(found) if found else None


def _highest(column: Sequence[Sample]) -> float | None:
    return max((sample.p99_ms for sample in column if sample.p99_ms is not None), default=None)


def _hit_ratio(column: Sequence[Sample]) -> float | None:
    hits = sum(sample.hits_per_s for sample in column)
    total = hits + sum(sample.computed_per_s for sample in column)
    return hits / total if total else None
