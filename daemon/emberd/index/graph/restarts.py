"""When a lost worker is started again, and which checkpoints it must leave alone."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["RestartPolicy"]

# The fifth loss in a row may be the machine's fault, such as no memory; then leave it alone.
_DELAYS_S = (0.0, 0.2, 1.0, 5.0, 30.0)
_HEALTHY_S = 60.0
_DEATHS = 2


@dataclass(slots=True)
class RestartPolicy:
    """Pure: times come from the caller, of any monotonic clock."""

    losses: int = 0
    """In a row."""
    distrusted: set[int] = field(default_factory=set)
    """Checkpoints whose reading ended a worker twice."""
    _started_s: float = 0.0
    _reading: int | None = None
    _deaths: dict[int, int] = field(default_factory=dict)

    def started(self, now_s: float) -> None:
        """A worker is ready."""
        self._started_s = now_s
        self._reading = None

    def reading(self, number: int) -> None:
        """A worker begins to read a checkpoint."""
        self._reading = number

    def lost(self, now_s: float, *, was_ready: bool) -> float | None:
        """Seconds until the next start; None when it is time to give up."""
        if was_ready and now_s - self._started_s >= _HEALTHY_S:
            self.losses = 0
        if self._reading is not None:
            deaths = self._deaths[self._reading] = self._deaths.get(self._reading, 0) + 1
            if deaths >= _DEATHS:
                self.distrusted.add(self._reading)
            self._reading = None
        self.losses += 1
        return _DELAYS_S[self.losses - 1] if self.losses <= len(_DELAYS_S) else None
