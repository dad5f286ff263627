"""What the axes must hold: extremes of a window that moves on, in constant time a sample."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from emberd_tui.axis import Axis, decade_axis, linear_axis
from emberd_tui.history import Sample

__all__ = ["Extremes"]


class Extremes:
    """The highest rate, and the least and the highest latency, of the last `window_s` seconds."""

    def __init__(self, window_s: float, samples: Iterable[Sample] = ()) -> None:
        self._window_s = window_s
        # Each has what can still become the extreme, the present one first.
        self._rates: deque[tuple[float, float]] = deque()
        self._least: deque[tuple[float, float]] = deque()
        self._most: deque[tuple[float, float]] = deque()
        for sample in samples:
            self.add(sample)

    def add(self, sample: Sample) -> None:
        """The next sample in the order of time; the window ends with it."""
        _push(self._rates, sample.at, sample.hits_per_s + sample.computed_per_s)
        for ms in (sample.p50_ms, sample.p99_ms):
            if ms is not None and ms > 0:
                _push(self._most, sample.at, ms)
                _push(self._least, sample.at, -ms)
        for extremes in (self._rates, self._least, self._most):
            while extremes and extremes[0][0] <= sample.at - self._window_s:
                extremes.popleft()

    def axes(self, headroom: float) -> tuple[Axis, Axis]:
        """For the rates (with `headroom`, a factor) and for the latencies."""
        peak = self._rates[0][1] if self._rates else 0.0
        latencies = (-self._least[0][1], self._most[0][1]) if self._most else ()
        return linear_axis(peak * headroom), decade_axis(latencies)


def _push(extremes: deque[tuple[float, float]], at: float, value: float) -> None:
    while extremes and extremes[-1][1] <= value:
        extremes.pop()
    extremes.append((at, value))
