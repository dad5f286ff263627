"""The last hour of figures: a column a second for five minutes, one every ten seconds beyond.

Rings of a fixed size, about 60 KB together; a sample costs some 20 us.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable
from typing import Final

from emberd.wire.insight import HistoryColumns
from emberd.wire.snapshot import Snapshot

__all__ = ["COLUMN_NAMES", "History"]

_FINE_S: Final = 1
_FINE_COLUMNS: Final = 300
_COARSE_S: Final = 10
_COARSE_COLUMNS: Final = 360
_NOTHING: Final = math.nan

_READERS: Final[dict[str, Callable[[Snapshot], float]]] = {
    "texts_per_s": lambda s: s.texts.per_s,
    "hits_per_s": lambda s: s.texts.hits_per_s,
    "computed_per_s": lambda s: s.texts.computed_per_s,
    "hit_ratio": lambda s: s.texts.hit_ratio if s.texts.per_s else _NOTHING,
    "p50_ms": lambda s: s.requests.latency.p50_ms if s.requests.latency.count else _NOTHING,
    "p99_ms": lambda s: s.requests.latency.p99_ms if s.requests.latency.count else _NOTHING,
    "queue_texts": lambda s: s.engine.queue_texts,
    "busy_ratio": lambda s: s.engine.busy_ratio,
    "rss_bytes": lambda s: s.daemon.rss_bytes,
    "loop_lag_ms": lambda s: s.daemon.loop_lag_ms,
}
COLUMN_NAMES: Final = tuple(_READERS)

# A mean would hide what these are looked at for.
_PEAKS: Final = frozenset({"p99_ms", "queue_texts", "loop_lag_ms"})


class History:
    """Columns of the snapshots' figures, by Unix time. Owned by the event loop's thread."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._fine = _Ring(_FINE_COLUMNS)
        self._coarse = _Ring(_COARSE_COLUMNS)
        self._bucket: list[dict[str, float]] = []
        self._slot = 0
        self._end = 0.0

    def add(self, snapshot: Snapshot) -> None:
        """Keep a snapshot's figures; the seconds since the last one become gaps.

        A clock that was set back, or far ahead, starts the history anew.
        """
        steps = self._steps_to(snapshot.time)
        if steps is None:
            self._clear()
            steps = 1
        self._end = snapshot.time
        self._fine.advance(steps)
        values = {name: float(read(snapshot)) for name, read in _READERS.items()}
        self._fine.put(values)
        self._add_coarse(steps, values)

    def columns(self, window_s: float) -> HistoryColumns:
        """The last `window_s` seconds, oldest first: as many columns as there are, at most 360."""
        is_fine = window_s <= _FINE_S * _FINE_COLUMNS
        ring, step_s = (self._fine, _FINE_S) if is_fine else (self._coarse, _COARSE_S)
        count = math.ceil(window_s / step_s)
        return HistoryColumns(
            step_s=step_s,
            end=self._end,
            columns={name: _with_gaps(ring.last(name, count)) for name in COLUMN_NAMES},
        )

    def _steps_to(self, time: float) -> int | None:
        """Columns from the newest to that of `time`; None where there is no way."""
        if not self._end:
            return 1
        # Of the distance, not of the clock: a tick that comes 1 ms late each second must not
        # leave a gap whenever that adds up to a whole one.
        steps = max(1, round((time - self._end) / _FINE_S))
        is_back = time < self._end - _FINE_S
        return None if is_back or steps > _COARSE_S * _COARSE_COLUMNS else steps

    def _add_coarse(self, steps: int, values: dict[str, float]) -> None:
        before, self._slot = self._slot // _COARSE_S, self._slot + steps
        moved = self._slot // _COARSE_S - before
        if moved or not len(self._coarse):
            self._coarse.advance(max(moved, 1))
            self._bucket.clear()
        self._bucket.append(values)
        self._coarse.put(_summary(self._bucket))


class _Ring:
    """The newest `size` columns of each name; one that was never put is a gap."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._rows = {name: array("d", [_NOTHING]) * size for name in COLUMN_NAMES}
        self._newest = -1
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def advance(self, steps: int) -> None:
        """Open a new newest column, with gaps for those that were passed over."""
        for _ in range(min(steps, self._size)):
            self._newest = (self._newest + 1) % self._size
            for row in self._rows.values():
                row[self._newest] = _NOTHING
        # Before the first column there is nothing, not a gap.
        self._count = min(self._count + steps, self._size)

    def put(self, values: dict[str, float]) -> None:
        """Fill the newest column."""
        for name, value in values.items():
            self._rows[name][self._newest] = value

    def last(self, name: str, count: int) -> array[float]:
        """At most `count` columns, oldest first."""
        end = self._newest + 1
        ordered = self._rows[name][end:] + self._rows[name][:end]
        return ordered[self._size - min(count, self._count) :]


def _summary(samples: list[dict[str, float]]) -> dict[str, float]:
    """One column of several: means, peaks, and the ratio of all their texts."""
    merged = {
        name: _merged([sample[name] for sample in samples], is_peak=name in _PEAKS)
        for name in COLUMN_NAMES
    }
    texts = merged["texts_per_s"]
    merged["hit_ratio"] = merged["hits_per_s"] / texts if texts else _NOTHING
    return merged


def _merged(values: list[float], *, is_peak: bool) -> float:
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return _NOTHING
    return max(known) if is_peak else sum(known) / len(known)


def _with_gaps(values: Iterable[float]) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values]
