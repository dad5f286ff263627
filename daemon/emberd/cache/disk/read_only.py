"""Writes that the disk refuses: pause them, say so, and try again now and then."""

from __future__ import annotations

from collections.abc import Callable

from emberd.errors import CacheUnavailableError

__all__ = ["ReadOnly"]

_FIRST_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 60.0


class ReadOnly:
    """Is the tier read-only, why, and until when. Pure but for the clock it is given."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.message = ""
        self._clock = clock
        self._pause_s = _FIRST_PAUSE_S
        self._until = 0.0

    def __bool__(self) -> bool:
        return bool(self.message)

    def check(self) -> None:
        """Raises CacheUnavailableError while writes pause."""
        if self.message and self._clock() < self._until:
            raise CacheUnavailableError(self.message)

    def enter(self, reason: str) -> None:
        """A write failed for want of room. A second one in a row doubles the pause."""
        if self.message:
            self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
        self._until = self._clock() + self._pause_s
        self.message = (
            f"The cache cannot be written ({reason}); what it holds is still served. "
            "Free some disk space or lower cache.disk_mib."
        )

    def leave(self) -> None:
        """A write succeeded."""
        self.message = ""
        self._pause_s = _FIRST_PAUSE_S
