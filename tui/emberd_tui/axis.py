"""Axes that stand still: they grow at once when a value needs it, and shrink only after a while."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

__all__ = ["HEADROOM", "HOLD_S", "Axis", "decade_axis", "linear_axis", "settle", "ticks"]

HEADROOM = 1.25
"""A smaller axis must hold the peak with this to spare, so that it is not left at once."""

HOLD_S = 15.0
"""How long a smaller axis must do before it is taken."""

_NICE = (1.0, 2.0, 5.0, 10.0)
_LOWEST_TOP = 10.0
_LOWEST_DECADE, _HIGHEST_DECADE = -2, 6


@dataclass(frozen=True, slots=True)
class Axis:
    """From `low` to `high`; a logarithmic one has powers of ten at both ends."""

    low: float
    high: float
    is_log: bool = False
    slack_since: float | None = None
    """Since when a smaller axis would do."""

    def position(self, value: float) -> float:
        """Where `value` lies, 0 (low) to 1 (high), clamped."""
        if self.is_log:
            low, high = math.log10(self.low), math.log10(self.high)
            share = (math.log10(max(value, self.low)) - low) / (high - low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return min(max(share, 0.0), 1.0)


def linear_axis(peak: float) -> Axis:
    """From 0 to the next of 1, 2, 5 times a power of ten; at least 10."""
    peak = max(peak, _LOWEST_TOP)
    power = 10.0 ** math.floor(math.log10(peak))
    top = next(step * power for step in _NICE if step * power >= peak * (1 - 1e-9))
    return Axis(0.0, top)


def decade_axis(values: Iterable[float]) -> Axis:
    """Whole decades around positive `values`, two of them at least; 0.1 to 100 without any."""
    logs = [math.log10(value) for value in values if value > 0] or [-0.5, 1.5]
    low = max(math.floor(min(logs)), _LOWEST_DECADE)
    high = min(math.ceil(max(logs)), _HIGHEST_DECADE)
    high = max(high, low + 1)
    if high - low < 2:
        low, high = (low - 1, high) if low > _LOWEST_DECADE else (low, high + 1)
    return Axis(10.0**low, 10.0**high, is_log=True)


def settle(axis: Axis, needed: Axis, roomy: Axis, now: float) -> Axis:
    """The axis to draw with, given the one in use.

    Grows at once to cover `needed`; becomes `roomy` (what is needed, and headroom) when that has
    been the smaller one for HOLD_S.
    """
    if needed.low < axis.low or needed.high > axis.high:
        low, high = min(axis.low, needed.low), max(axis.high, needed.high)
        return replace(axis, low=low, high=high, slack_since=None)
    if roomy.low <= axis.low and roomy.high >= axis.high:
        return replace(axis, slack_since=None)
    if axis.slack_since is None:
        return replace(axis, slack_since=now)
    return roomy if now - axis.slack_since >= HOLD_S else axis


def ticks(axis: Axis) -> list[float]:
    """The values to label, lowest first."""
    if not axis.is_log:
        return [axis.low, (axis.low + axis.high) / 2, axis.high]
    low, high = round(math.log10(axis.low)), round(math.log10(axis.high))
    return [10.0**power for power in range(low, high + 1)]
