"""What the dashboard asks of the daemon beyond the snapshots, as values.

Screens say which asks they want answered; the dashboard decides which are due; a source carries
them out. Equal asks are one question.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

__all__ = [
    "REQUEST_KINDS",
    "Ask",
    "AskHistory",
    "AskInspection",
    "AskLogs",
    "AskPlugin",
    "AskRequests",
    "AskSearch",
    "AskTopTexts",
    "ClearNamespace",
    "RequestKind",
    "SwitchPlugin",
]

RequestKind = Literal["recent", "slowest", "slow"]
REQUEST_KINDS: tuple[RequestKind, ...] = get_args(RequestKind)

# Less than the second between two snapshots, which is when asks are looked through.
_POLL_S = 0.9


@dataclass(frozen=True, slots=True)
class Ask:
    """One question; `method` is the daemon's name for it."""

    method: ClassVar[str] = ""
    every_s: ClassVar[float | None] = None
    """How often to ask again while it is wanted; None asks once."""
    has_notice: ClassVar[bool] = False
    """The screen itself says where a daemon does not have the method."""
    only_reads: ClassVar[bool] = False
    """Changes nothing: a read-only dashboard may ask it."""


@dataclass(frozen=True, slots=True)
class AskHistory(Ask):
    """The figures of the last `window_s` seconds."""

    method: ClassVar[str] = "stats.history"
    only_reads: ClassVar[bool] = True
    has_notice: ClassVar[bool] = True
    window_s: float


@dataclass(frozen=True, slots=True)
class AskPlugin(Ask):
    """A plugin's settings."""

    method: ClassVar[str] = "plugins.info"
    only_reads: ClassVar[bool] = True
    name: str


@dataclass(frozen=True, slots=True)
class SwitchPlugin(Ask):
    """Enable or disable a plugin."""

    method: ClassVar[str] = "plugins.enable"
    name: str
    is_on: bool


@dataclass(frozen=True, slots=True)
class AskSearch(Ask):
    """The best documents of a collection."""

    method: ClassVar[str] = "search"
    only_reads: ClassVar[bool] = True
    collection: str
    query: str


@dataclass(frozen=True, slots=True)
class AskInspection(Ask):
    """Where the vector of a text is."""

    method: ClassVar[str] = "cache.inspect"
    only_reads: ClassVar[bool] = True
    has_notice: ClassVar[bool] = True
    text: str


@dataclass(frozen=True, slots=True)
class AskTopTexts(Ask):
    """The texts of a namespace with the most hits; None is the connection's own."""

    method: ClassVar[str] = "cache.top"
    only_reads: ClassVar[bool] = True
    has_notice: ClassVar[bool] = True
    every_s: ClassVar[float | None] = _POLL_S
    namespace: str | None


@dataclass(frozen=True, slots=True)
class ClearNamespace(Ask):
    """Forget the vectors of a namespace."""

    method: ClassVar[str] = "cache.clear"
    name: str


@dataclass(frozen=True, slots=True)
class AskRequests(Ask):
    """A list of requests."""

    method: ClassVar[str] = "requests.list"
    only_reads: ClassVar[bool] = True
    has_notice: ClassVar[bool] = True
    every_s: ClassVar[float | None] = _POLL_S
    kind: RequestKind


@dataclass(frozen=True, slots=True)
class AskLogs(Ask):
    """Log records from a sequence number on; the newest ones for None."""

    method: ClassVar[str] = "logs.tail"
    only_reads: ClassVar[bool] = True
    has_notice: ClassVar[bool] = True
    every_s: ClassVar[float | None] = _POLL_S
    after: int | None
