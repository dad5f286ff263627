"""What a source can say: each state of the connection has its own screen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from emberd.wire.snapshot import Snapshot

__all__ = [
    "Connecting",
    "Live",
    "Lost",
    "NoDaemon",
    "OtherVersion",
    "Passed",
    "Refused",
    "Starting",
    "State",
]


@dataclass(frozen=True, slots=True)
class Connecting:
    """The first attempt is under way."""


@dataclass(frozen=True, slots=True)
class Starting:
    """The daemon is being started, because somebody asked for it."""


@dataclass(frozen=True, slots=True)
class Live:
    """A snapshot, received at `at` (seconds of the source's clock)."""

    snapshot: Snapshot
    at: float


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection was there and is gone; the next attempt comes at `retry_at`."""

    reason: str
    retry_at: float


@dataclass(frozen=True, slots=True)
class NoDaemon:
    """Nothing answers on the socket, and nothing did before."""

    reason: str
    retry_at: float


@dataclass(frozen=True, slots=True)
class OtherVersion:
    """A daemon answers, but its snapshots are of a version that this program cannot read."""

    reason: str
    retry_at: float


@dataclass(frozen=True, slots=True)
class Refused:
    """A daemon answers and says no (a wrong token, for example)."""

    reason: str
    retry_at: float


State = Connecting | Starting | Live | Lost | NoDaemon | OtherVersion | Refused


@dataclass(frozen=True, slots=True)
class Passed:
    """Only a replay says this: the states that it has moved past, at once.

    They can be gone through once: an hour of snapshots is not held in memory.
    """

    states: Iterable[State]
    is_anew: bool
    """They begin again: nothing that was said before counts."""
