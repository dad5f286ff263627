"""A circuit breaker: leaves a server alone that fails, and tries it again after a while.

Pure: the caller brings the time.
"""

from __future__ import annotations

from typing import Final, Literal

__all__ = ["COOLDOWN_S", "FAILURES", "Breaker"]

FAILURES: Final = 5
"""In a row that open it."""
COOLDOWN_S: Final = 5.0
"""Before the first trial; doubles with each trial that fails."""
_LONGEST_S: Final = 120.0


class Breaker:
    """`now` is in seconds of one clock."""

    def __init__(self) -> None:
        self.opened = 0
        """How many times."""
        self._failures = 0
        self._cooldown_s = COOLDOWN_S
        self._open_until: float | None = None
        self._is_trying = False

    def state(self, now: float) -> Literal["closed", "open", "trying"]:
        """What a person is told."""
        if self._open_until is None:
            return "closed"
        return "open" if now < self._open_until else "trying"

    def wait_s(self, now: float) -> float:
        """Seconds until it lets something through; 0 where it may."""
        return 0.0 if self._open_until is None else max(self._open_until - now, 0.0)

    def enter(self, now: float) -> bool:
        """Whether a call may be made; after a cooldown that is one at a time.

        Every call that was let in must end with `succeeded`, `failed` or `left`.
        """
        if self._open_until is None:
            return True
        if now < self._open_until or self._is_trying:
            return False
        self._is_trying = True
        return True

    def succeeded(self) -> None:
        """The server answered."""
        self._failures = 0
        self._cooldown_s = COOLDOWN_S
        self._open_until = None
        self._is_trying = False

    def failed(self, now: float) -> None:
        """It did not answer, or not as a server should."""
        self._failures += 1
        if self._is_trying:
            self._cooldown_s = min(self._cooldown_s * 2, _LONGEST_S)
        elif self._open_until is not None or self._failures < FAILURES:
            return
        self._is_trying = False
        self._open_until = now + self._cooldown_s
        self.opened += 1

    def left(self) -> None:
        """The call was given up and says nothing of the server."""
        self._is_trying = False
