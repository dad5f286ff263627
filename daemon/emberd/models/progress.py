"""How a pull tells where it is and is told to stop. Everything here blocks on a caller's thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from emberd.errors import CancelledRequestError

__all__ = ["Cancelled", "OnProgress", "Progress", "Step", "Watch"]

Step = Literal["download", "verify", "build", "calibrate", "measure", "check", "install"]


@dataclass(frozen=True, slots=True)
class Progress:
    """One step of a pull: `done` of `total` bytes (of texts to calibrate and to measure); `total`
    is None while it is not known."""

    step: Step
    what: str
    done: int = 0
    total: int | None = None


OnProgress = Callable[[Progress], None]
Cancelled = Callable[[], bool]


def _ignore(_: Progress) -> None:
    pass


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Watch:
    """The two callbacks of a pull, handed down together."""

    progress: OnProgress = _ignore
    cancelled: Cancelled = _never

    @classmethod
    def over(cls, progress: OnProgress | None, cancelled: Cancelled | None) -> Watch:
        """A watch over callbacks of which either may be absent."""
        return cls(progress or _ignore, cancelled or _never)

    def report(self, step: Step, what: str, done: int = 0, total: int | None = None) -> None:
        """Tell the progress; raises CancelledRequestError when the caller has given up."""
        self.progress(Progress(step, what, done, total))
        self.check()

    def check(self) -> None:
        """Raises CancelledRequestError when the caller has given up."""
        if self.cancelled():
            raise CancelledRequestError("The pull was cancelled; the store is as it was before.")
