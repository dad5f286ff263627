"""What callers wait for while the feeder does it: rebuilds and audits."""

from __future__ import annotations

import asyncio
from typing import Any

from emberd.errors import GraphLostError

__all__ = ["Errands"]


class Errands:
    """Futures of those who wait. Owned by the event loop."""

    def __init__(self) -> None:
        self._asked: list[asyncio.Future[None]] = []
        self._rebuilds: list[asyncio.Future[None]] = []
        self._audits: list[asyncio.Future[int]] = []

    def ask_rebuild(self) -> asyncio.Future[None]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked.append(done)
        return done

    def ask_audit(self) -> asyncio.Future[int]:
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._audits.append(done)
        return done

    def take_rebuilds(self) -> bool:
        """Whether a rebuild was asked for; those who ask after this wait for the next."""
        asked, self._asked = self._asked, []
        self._rebuilds += asked
        return bool(asked)

    @property
    def has_audits(self) -> bool:
        return bool(self._audits)

    def finish_rebuilds(self) -> None:
        rebuilds, self._rebuilds = self._rebuilds, []
        for done in rebuilds:
            if not done.done():
                done.set_result(None)

    def finish_audits(self, lacking: int) -> None:
        audits, self._audits = self._audits, []
        for done in audits:
            if not done.done():
                done.set_result(lacking)

    def refuse(self, reason: str) -> None:
        """Nobody waits for a graph that may never come."""
        for done in self._take_all():
            if not done.done():
                done.set_exception(GraphLostError(f"There is no graph at present: {reason}"))

    def cancel(self) -> None:
        """The collection is closed."""
        for done in self._take_all():
            done.cancel()

    def _take_all(self) -> list[asyncio.Future[Any]]:
        waiting: list[asyncio.Future[Any]] = [*self._asked, *self._rebuilds, *self._audits]
        self._asked, self._rebuilds, self._audits = [], [], []
        return waiting
