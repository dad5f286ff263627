"""The open connections and what they share."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable
from typing import Literal

from emberd.config import LimitSettings
from emberd.server.awake import Awake
from emberd.server.peer import process_name
from emberd.server.session import Session, Shared
from emberd.service.callers import Caller
from emberd.service.observation import Observation
from emberd.service.request_log import RequestLog
from emberd.service.service import Service
from emberd.service.statistics import Statistics
from emberd.telemetry import EventLog
from emberd.wire.connection import ServerConnection
from emberd.wire.limits import Limits

__all__ = ["Sessions"]

_AWAKE_S = 400e-6  # 64 cached texts take 150


class Sessions:
    """Makes sessions, lists their callers, drains them. Owned by the event loop's thread."""

    def __init__(
        self,
        limits: LimitSettings,
        statistics: Statistics,
        events: EventLog,
        *,
        stays_awake: bool = True,
    ) -> None:
        self._limits = limits
        self._statistics = statistics
        self._events = events
        self._wire_limits = Limits.from_settings(limits)
        self._open: set[Session] = set()
        self._others: set[Caller] = set()
        self._numbers = itertools.count(1)
        self._changed = asyncio.Event()
        awake_s = _AWAKE_S if stays_awake else 0.0
        self._awake = Awake(awake_s, lambda: statistics.in_flight > 0)

    def serve(
        self,
        service: Service,
        forget: Callable[[Caller], None],
        requests: RequestLog,
        observation: Observation | None = None,
    ) -> None:
        """Say what answers the requests, who hears of connections that are gone, and where
        requests are listed and told; before the first connection."""
        self._forget = forget
        self._shared = Shared(
            service=service,
            limits=self._limits,
            statistics=self._statistics,
            events=self._events,
            opened=self._open.add,
            closed=self._closed,
            progressed=self._changed.set,
            requests=requests,
            awake=self._awake,
            observation=observation,
        )

    def make(self, transport: Literal["unix", "tcp"]) -> Session:
        """A protocol for a new connection."""
        connection = ServerConnection(self._wire_limits, demands_hello=transport == "tcp")
        caller = Caller(next(self._numbers), transport, name_of=process_name)
        return Session(self._shared, connection, caller)

    def make_caller(self, name: str, pid: int = 0) -> Caller:
        """A caller that comes by the HTTP gateway; give it back with `release_caller`."""
        caller = Caller(next(self._numbers), "http", name, pid, name_of=process_name)
        self._others.add(caller)
        return caller

    def release_caller(self, caller: Caller) -> None:
        """The gateway's caller has gone."""
        self._others.discard(caller)
        self._forget(caller)

    def callers(self) -> Iterable[Caller]:
        """Everyone who is connected."""
        for caller in [*(session.caller for session in self._open), *self._others]:
            caller.named()
            yield caller

    async def drain(self, timeout_s: float) -> None:
        """Finish what is open, for at most `timeout_s`; then hang up."""
        try:
            async with asyncio.timeout(timeout_s):
                while any(session.is_busy for session in self._open):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            self._events.emit(
                "daemon.drain_timeout", "open requests were given up", level="warning"
            )
            if given_up := [task for session in self._open for task in session.give_up()]:
                await asyncio.wait(given_up, timeout=1.0)
                await asyncio.sleep(0)  # the answers are put together when the tasks have ended
        if closing := [session.close() for session in self._open]:
            await asyncio.wait(closing, timeout=1.0)

    def _closed(self, session: Session) -> None:
        self._open.discard(session)
        self._forget(session.caller)
        self._changed.set()
