"""What a benchmark is, and what it is given to run with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bench.figures import Figure
from emberd.models import StoredModel

__all__ = ["Bench", "Benchmark", "Device", "LeftOutError", "Result"]

Device = Literal["auto", "cpu", "cuda"]


class LeftOutError(Exception):
    """A benchmark cannot run on this machine; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Bench:
    """The circumstances of a run."""

    model: StoredModel
    device: Device = "cpu"
    rounds: int = 5
    is_quick: bool = False
    peak_tflops: float = 0.0
    """Of the GPU, as its maker says; 0 is not known."""

    def size(self, full: int, quick: int) -> int:
        """How much of something to take."""
        return quick if self.is_quick else full

    @property
    def few_rounds(self) -> int:
        """Of turns that take many seconds each: half as many as of others, rounded up; in a quick
        run rounded down, and one at least."""
        return max(1, self.rounds // 2) if self.is_quick else (self.rounds + 1) // 2

    @property
    def settings(self) -> tuple[str, ...]:
        """The settings that every daemon of the run has."""
        return (f"engine.device={self.device}",)


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One benchmark of the list."""

    name: str
    question: str
    """What it answers, for people."""
    bar: str
    """The bar that it states, in words."""
    run: Callable[[Bench], list[Figure]]
    is_on_request: bool = False
    """Left out unless it is named: it installs other programs, or takes long."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a benchmark found, and how quiet the machine was."""

    name: str
    figures: tuple[Figure, ...]
    seconds: float = 0.0
    others: float = 0.0
    """The share of all cores (0 to 1) that other programs took meanwhile."""
    spin_ms: tuple[float, float] = (0.0, 0.0)
    """A fixed loop of Python before and after: whether the machine changed its speed."""

    @property
    def drift(self) -> float:
        """How much slower the slower of the two was: 0.5 is half as long again."""
        fast, slow = sorted(self.spin_ms)
        return slow / fast - 1 if fast else 0.0
