"""A circuit breaker: stop asking what keeps failing, and ask once in a while whether it is back.

Pure: no threads, no clock of its own. One owner.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

__all__ = ["Breaker", "BreakerLimits", "BreakerState"]


class BreakerState(Enum):
    CLOSED = "closed"
    """All is well; calls pass."""
    OPEN = "open"
    """Tripped; no call passes until the pause is over."""
    PROBING = "probing"
    """The pause is over and one call is under way to see."""


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """When to trip and how long to pause."""

    failures: int = 5
    """In a row."""
    slow_s: float = 0.5
    """A call that takes longer counts as a failure."""
    pause_s: float = 5.0
    """After the first trip; doubles with each probe that fails."""
    longest_pause_s: float = 60.0


class Breaker:
    """Ask `allows()` before each call that it then reports with `succeeded` or `failed`."""

    def __init__(self, clock: Callable[[], float], limits: BreakerLimits = BreakerLimits()) -> None:
        self.state = BreakerState.CLOSED
        self.reason = ""
        self.trips = 0
        self._clock = clock
        self._limits = limits
        self._failures = 0
        self._pause_s = limits.pause_s
        self._resume_at = 0.0

    @property
    def is_tripped(self) -> bool:
        return self.state is not BreakerState.CLOSED

    def allows(self) -> bool:
        """May a call be made now? In the state `PROBING` only the one that moved it there."""
        if self.state is BreakerState.CLOSED:
            return True
        # A probe that never reports (its caller was killed) must not hold the breaker for ever:
        # `_resume_at` is moved on when it starts.
        if self._clock() < self._resume_at:
            return False
        self.state = BreakerState.PROBING
        self._resume_at = self._clock() + self._limits.longest_pause_s
        return True

    def succeeded(self, seconds: float) -> None:
        """The call came back after `seconds`; too slow is as bad as an error."""
        if seconds > self._limits.slow_s:
            self.failed(f"slow: {seconds:.2f} s, more than {self._limits.slow_s:g} s")
            return
        self.state = BreakerState.CLOSED
        self.reason = ""
        self._failures = 0
        self._pause_s = self._limits.pause_s

    def failed(self, reason: str) -> None:
        """The call raised, timed out or answered nonsense."""
        self.reason = reason
        self._failures += 1
        if self.state is BreakerState.PROBING:
            self._pause_s = min(self._pause_s * 2, self._limits.longest_pause_s)
            self._trip()
        elif self.state is BreakerState.CLOSED and self._failures >= self._limits.failures:
            self._trip()

    def _trip(self) -> None:
        self.state = BreakerState.OPEN
        self.trips += 1
        self._resume_at = self._clock() + self._pause_s
