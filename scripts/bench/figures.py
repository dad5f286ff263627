"""What a benchmark finds: samples, their median and spread, and the bar they are held against."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["Bar", "Figure", "at_least", "below", "percentile", "ratios", "show_number"]


@dataclass(frozen=True, slots=True)
class Bar:
    """What a figure must reach, or stay under."""

    limit: float
    kind: Literal["at least", "below"]

    def is_met(self, value: float) -> bool:
        """Whether `value` is good enough; a value that is no number never is."""
        return value >= self.limit if self.kind == "at least" else value < self.limit

    def __str__(self) -> str:
        return f"{'>=' if self.kind == 'at least' else '<'} {show_number(self.limit)}"


def at_least(limit: float) -> Bar:
    """Met by `limit` and more."""
    return Bar(limit, "at least")


def below(limit: float) -> Bar:
    """Met by less than `limit`."""
    return Bar(limit, "below")


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table: one sample a round, summed up."""

    name: str
    unit: str
    samples: tuple[float, ...]
    bar: Bar | None = None
    summary: Literal["median", "worst"] = "median"
    """`worst` is the largest sample: for promises that hold at every moment."""

    @property
    def value(self) -> float:
        return max(self.samples) if self.summary == "worst" else percentile(self.samples, 0.5)

    @property
    def spread(self) -> tuple[float, float]:
        """The quartiles; of few samples the smallest and the largest."""
        if len(self.samples) < 4:
            return min(self.samples), max(self.samples)
        return percentile(self.samples, 0.25), percentile(self.samples, 0.75)

    @property
    def is_met(self) -> bool | None:
        """None where there is no bar."""
        return None if self.bar is None else self.bar.is_met(self.value)


def percentile(samples: Sequence[float], share: float) -> float:
    """The value that `share` (0 to 1) of the samples do not pass, interpolated between two.

    Raises ValueError without samples.
    """
    if not samples:
        raise ValueError("no samples")
    ordered = sorted(samples)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    # Not a * (1 - x) + b * x, which may leave the range of a and b by a rounding.
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> tuple[float, ...]:
    """Round by round: what disturbs the machine in one round disturbs both alternatives."""
    return tuple(a / b for a, b in zip(numerators, denominators, strict=True))


def show_number(value: float) -> str:
    """Three figures that mean something: `0.953`, `14.2`, `187`, `12,346`."""
    if not math.isfinite(value):
        return str(value)
    if value == 0 or abs(value) >= 99.95:
        return f"{value:,.0f}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{min(digits, 6)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
