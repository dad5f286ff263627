"""What the servers say of themselves, asked for now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from emberd.errors import CacheUnavailableError
from emberd_redis.nodes import Command, Node
from emberd_redis.servers import Servers

__all__ = ["Figures", "Observatory"]

_FRESH_S = 5.0
_RETRY_S = 1.0
_QUESTIONS: tuple[Command, ...] = (("DBSIZE",), ("INFO", "memory"), ("INFO", "stats"))


@dataclass(frozen=True, slots=True)
class Figures:
    """Of all servers together, and of everything they keep, whoever wrote it."""

    entries: int = 0
    size_bytes: int = 0
    budget_bytes: int = 0
    """0 where a server has no bound."""
    evictions: int = 0
    expired: int = 0


class Observatory:
    """Remembers the last figures, and why there are none. One thread at a time."""

    def __init__(self, servers: Servers, clock: Callable[[], float] = time.monotonic) -> None:
        self.figures = Figures()
        self.outage = ""
        """What is wrong; "" while the servers answer."""
        self._servers = servers
        self._clock = clock
        self._due_at = clock()

    def look(self) -> None:
        """Ask the servers, at most every 5 s (1 s while they do not answer); never raises."""
        if self._clock() < self._due_at:
            return
        try:
            self.figures = _sum([_of(node) for node in self._servers.primaries()])
            self.outage = ""
        except CacheUnavailableError as exc:
            self.outage = exc.message
        self._due_at = self._clock() + (_RETRY_S if self.outage else _FRESH_S)


def _of(node: Node) -> Figures:
    # A question that this user may not ask is answered with an error, and counts nothing.
    size, memory, stats = node.run(_QUESTIONS)
    return Figures(
        entries=size if isinstance(size, int) else 0,
        size_bytes=_number(memory, "used_memory"),
        budget_bytes=_number(memory, "maxmemory"),
        evictions=_number(stats, "evicted_keys"),
        expired=_number(stats, "expired_keys"),
    )


def _number(section: Any, key: str) -> int:
    found = section.get(key, 0) if isinstance(section, dict) else 0
    return found if isinstance(found, int) else 0


def _sum(parts: list[Figures]) -> Figures:
    budgets = [part.budget_bytes for part in parts]
    return Figures(
        entries=sum(part.entries for part in parts),
        size_bytes=sum(part.size_bytes for part in parts),
        budget_bytes=sum(budgets) if all(budgets) else 0,
        evictions=sum(part.evictions for part in parts),
        expired=sum(part.expired for part in parts),
    )
