"""Measures how long the event loop is busy at a stretch: what hurts every client first."""

from __future__ import annotations

import asyncio

__all__ = ["LoopMonitor"]

_PERIOD_S = 0.025


class LoopMonitor:
    """A heartbeat: what it comes late is the time that one callback (or a run of them) took."""

    def __init__(self) -> None:
        self._worst_s = 0.0
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._due = loop.time() + _PERIOD_S
        self._handle = loop.call_at(self._due, self._beat)

    def take_ms(self) -> float:
        """The worst lag in ms since the last call."""
        worst_s, self._worst_s = self._worst_s, 0.0
        return worst_s * 1e3

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _beat(self) -> None:
        now = self._loop.time()
        self._worst_s = max(self._worst_s, now - self._due)
        self._due = now + _PERIOD_S
        self._handle = self._loop.call_at(self._due, self._beat)
