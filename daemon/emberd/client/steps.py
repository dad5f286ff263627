"""What a call needs from the outside, as data.

A call is a generator that yields steps and is sent their answers, or has their errors thrown into
it. So splitting, retries and deadlines are written once; the blocking and the asyncio client each
carry out these five steps, and know nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any, Protocol, TypeAlias, TypeVar

import msgspec

__all__ = ["Await", "Greet", "Sleep", "Start", "Step", "Steps", "Ticket", "Work"]

T = TypeVar("T")


class Ticket(Protocol):
    """A request that is under way."""

    def abandon(self) -> None:
        """Nobody waits any more; does nothing once the reply is there. Never blocks."""
        ...


class Greet(msgspec.Struct, frozen=True):
    """Connect where there is no connection. Answered by the Welcome of `hello`."""


class Start(msgspec.Struct, frozen=True):
    """Send a request, connecting first where needed. Answered by its Ticket."""

    method: str
    params: Mapping[str, Any]
    deadline: float | None = None
    """On the clock of time.monotonic; None waits for ever."""


class Await(msgspec.Struct, frozen=True):
    """Wait for the reply to a ticket. Answered by its result, or the reply's error is thrown."""

    ticket: Any
    deadline: float | None = None


class Sleep(msgspec.Struct, frozen=True):
    """Do nothing for a while."""

    seconds: float


class Work(msgspec.Struct, frozen=True):
    """Run something that takes milliseconds; on a thread, for a caller with an event loop."""

    run: Callable[[], Any]


Step: TypeAlias = Greet | Start | Await | Sleep | Work
Steps: TypeAlias = Generator[Step, Any, T]
