"""The once-a-second tick: the latest snapshot, those who wait for it and those who follow it."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from emberd.service.callers import Caller
from emberd.service.snapshots import SnapshotBuilder, to_plain
from emberd.telemetry import History
from emberd.wire.snapshot import Snapshot

__all__ = ["Snapshots"]

_PERIOD_S = 1.0
_LOOKS_S = 10.0


@dataclass(slots=True)
class _Subscription:
    caller: Caller
    every: int
    """In ticks."""
    due: int


class Snapshots:
    """Builds and hands out snapshots. Owned by the event loop's thread."""

    def __init__(
        self,
        builder: SnapshotBuilder,
        callers: Callable[[], Iterable[Caller]],
        state: Callable[[], tuple[bool, list[str]]],
        on_tick: Callable[[Snapshot], None] | None = None,
        *,
        is_always_watched: bool = False,
    ) -> None:
        """`on_tick` gets every new snapshot; it must not block. What costs something to find out
        is found out while there are subscribers, and for 10 s after each look, or always."""
        self._builder = builder
        self._callers = callers
        self._state = state
        self._on_tick = on_tick
        self._subscriptions: dict[int, _Subscription] = {}
        self._ids = itertools.count(1)
        self._ticks = 0
        self._waiting: list[asyncio.Future[dict[str, Any]]] = []
        self._handle: asyncio.TimerHandle | None = None
        self._is_always_watched = is_always_watched
        self._looked_at = -math.inf
        self.history = History()
        self.latest: Snapshot = self._build()

    def start(self) -> None:
        """Tick from now on."""
        loop = asyncio.get_running_loop()
        self._handle = loop.call_later(_PERIOD_S, self._tick)

    def stop(self) -> None:
        """Tick no more; those who wait get the latest."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._settle(self._plain)

    def look(self) -> Snapshot:
        """The latest snapshot, for somebody who wants to see it."""
        if not self._is_watched():
            self._builder.look()
        self._looked_at = time.monotonic()
        return self.latest

    def latest_plain(self) -> dict[str, Any]:
        """The latest snapshot as it travels."""
        self.look()
        return self._plain

    async def next_plain(self) -> dict[str, Any]:
        """The next snapshot as it travels."""
        self.look()
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        return await future

    def subscribe(self, caller: Caller, interval_s: float) -> int:
        """Send `caller` snapshots from now on; the first at once."""
        self.look()
        number = next(self._ids)
        every = max(1, round(interval_s / _PERIOD_S))
        self._subscriptions[number] = _Subscription(caller, every, self._ticks + every)
        asyncio.get_running_loop().call_soon(caller.push, self._plain)
        return number

    def unsubscribe(self, caller: Caller, number: int | None = None) -> bool:
        """End one of the caller's own subscriptions, or all of them; False when there is none
        such."""
        own = [n for n, entry in self._subscriptions.items() if entry.caller is caller]
        ended = own if number is None else [n for n in own if n == number]
        for each in ended:
            del self._subscriptions[each]
        return bool(ended)

    def forget(self, caller: Caller) -> None:
        """The connection has gone."""
        self.unsubscribe(caller)

    def _build(self) -> Snapshot:
        is_draining, problems = self._state()
        snapshot = self._builder.build(
            self._callers(),
            is_draining=is_draining,
            problems=problems,
            is_watched=self._is_watched(),
        )
        self._plain = to_plain(snapshot)
        return snapshot

    def _is_watched(self) -> bool:
        is_recent = time.monotonic() - self._looked_at <= _LOOKS_S
        return self._is_always_watched or bool(self._subscriptions) or is_recent

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._handle = loop.call_later(_PERIOD_S, self._tick)
        self._ticks += 1
        self.latest = self._build()
        self.history.add(self.latest)
        self._settle(self._plain)
        if self._on_tick is not None:
            self._on_tick(self.latest)
        for subscription in self._subscriptions.values():
            if subscription.due <= self._ticks:
                subscription.due = self._ticks + subscription.every
                subscription.caller.push(self._plain)

    def _settle(self, plain: dict[str, Any]) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(plain)
