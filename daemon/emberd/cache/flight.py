"""Single flight: one computation a key, however many ask for it at once.

Each who asks holds futures of their own. Cancelling one is leaving: the others are not touched,
and when the last one has left, the computation itself is cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterable, Sequence
from typing import Generic, TypeVar

from emberd.errors import CancelledRequestError

__all__ = ["Flights"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Flights(Generic[K, V]):
    """The computations under way. Owned by one event loop.

    `join` tells for which keys the caller is the first: for each of those it must call `launch`
    with a future of the result, or `fail`, before it awaits anything.
    """

    def __init__(self) -> None:
        self._flights: dict[K, _Flight[K, V]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def join(self, keys: Sequence[K]) -> tuple[list[asyncio.Future[V]], list[int]]:
        """A future of the caller's own for every key, and the indices that the caller must start.

        A key that repeats is started once.
        """
        create_future = asyncio.get_running_loop().create_future
        futures: list[asyncio.Future[V]] = []
        leaders: list[int] = []
        for index, key in enumerate(keys):
            flight = self._flights.get(key)
            if flight is None:
                flight = self._flights[key] = _Flight(key, self._flights)
                leaders.append(index)
            future = create_future()
            flight.add(future)
            futures.append(future)
        return futures, leaders

    def launch(self, keys: Iterable[K], works: Iterable[asyncio.Future[V]]) -> None:
        """Tie the keys that the caller leads to their computations.

        A result or an exception reaches everyone who waits. A computation whose waiters have all
        left already is cancelled at once.
        """
        for key, work in zip(keys, works, strict=True):
            flight = self._flights.get(key)
            if flight is None or flight.work is not None:
                work.cancel()
            else:
                flight.launch(work)

    def fail(self, keys: Iterable[K], error: BaseException) -> None:
        """The computations could not be started: everyone who waits for these keys gets `error`."""
        for key in keys:
            flight = self._flights.get(key)
            if flight is not None and flight.work is None:
                flight.fail(error)


class _Flight(Generic[K, V]):
    __slots__ = ("flights", "key", "waiters", "waiting", "work")

    def __init__(self, key: K, flights: dict[K, _Flight[K, V]]) -> None:
        self.key = key
        self.flights = flights
        self.waiters: list[asyncio.Future[V]] = []
        self.waiting = 0
        self.work: asyncio.Future[V] | None = None

    def add(self, waiter: asyncio.Future[V]) -> None:
        self.waiters.append(waiter)
        self.waiting += 1
        waiter.add_done_callback(self.left)

    def launch(self, work: asyncio.Future[V]) -> None:
        self.work = work
        work.add_done_callback(self.landed)

    def left(self, waiter: asyncio.Future[V]) -> None:
        """Runs for every waiter in the end; only those who left before the landing count."""
        if not waiter.cancelled() or self.flights.get(self.key) is not self:
            return
        self.waiting -= 1
        if not self.waiting:
            del self.flights[self.key]
            if self.work is not None:
                self.work.cancel()

    def landed(self, work: asyncio.Future[V]) -> None:
        if work.cancelled():
            self.fail(CancelledRequestError("The computation was given up. Ask again."))
        elif error := work.exception():  # asking also keeps asyncio from reporting it as unseen
            self.fail(error)
        else:
            value = work.result()
            for waiter in self._unload():
                waiter.set_result(value)

    def fail(self, error: BaseException) -> None:
        for waiter in self._unload():
            waiter.set_exception(error)
            waiter.exception()  # a waiter may have stopped caring; that is no news

    def _unload(self) -> list[asyncio.Future[V]]:
        if self.flights.get(self.key) is self:
            del self.flights[self.key]
        return [waiter for waiter in self.waiters if not waiter.done()]
