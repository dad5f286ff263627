"""Reading connections: one for each read that is under way, kept for the next."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from emberd.errors import ShuttingDownError
from emberd.index.store.schema import DATABASE_ERRORS, connect
from emberd.index.store.snapshot import Snapshot
from emberd.index.store.view import View

__all__ = ["Lease", "Readers"]

P = ParamSpec("P")
T = TypeVar("T")

_CACHE_MIB = 8
# Open snapshots, those that wait for the graph included; more reads wait their turn.
_MOST = 16


class Lease:
    """A connection lent to one read; its steps run on threads, all within one snapshot."""

    def __init__(
        self,
        open_connection: Callable[[], sqlite3.Connection],
        connection: sqlite3.Connection | None,
        current: Callable[[], View],
        executor: Executor,
    ) -> None:
        self.connection = connection
        self.job: asyncio.Future[Any] | None = None
        self._open = open_connection
        self._current = current
        self._executor = executor
        self._snapshot: Snapshot | None = None

    @property
    def is_idle(self) -> bool:
        """No thread uses the connection, and it holds no version."""
        is_running = self.job is not None and not self.job.done()
        return not is_running and (self._snapshot is None or self._snapshot.is_ended)

    async def run(
        self, work: Callable[Concatenate[Snapshot, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """One step on a thread; others of the same read may follow."""
        return await self._hop(lambda: work(self._begun(), *args, **kwargs))

    async def finish(
        self, work: Callable[Concatenate[Snapshot, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The last step: the version is let go on the same thread, without another hop."""

        def step() -> T:
            try:
                return work(self._begun(), *args, **kwargs)
            finally:
                self._end()

        return await self._hop(step)

    async def settle(self) -> None:
        """Wait for a step that its caller has left, then let go of the version."""
        if self.job is not None:
            await asyncio.wait([self.job])
        if self._snapshot is not None:
            await self._hop(self._end)

    async def _hop(self, step: Callable[[], T]) -> T:
        job = asyncio.get_running_loop().run_in_executor(self._executor, step)
        self.job = job
        return await asyncio.shield(job)

    def _begun(self) -> Snapshot:
        if self.connection is None:
            self.connection = self._open()
        if self._snapshot is None:
            self._snapshot = Snapshot(self.connection, self._current)
        return self._snapshot

    def _end(self) -> None:
        snapshot, self._snapshot = self._snapshot, None
        if snapshot is not None:
            snapshot.end()


class Readers:
    """Owned by the event loop; the connections are used on the executor's threads."""

    def __init__(self, file: Path, current: Callable[[], View], executor: Executor) -> None:
        self._file = file
        self._current = current
        self._executor = executor
        self._free: list[sqlite3.Connection] = []
        self._places = asyncio.Semaphore(_MOST)
        self._settling: set[asyncio.Task[None]] = set()
        self._is_closed = False

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Lease]:
        """A connection for one read. A caller that is cancelled leaves nothing behind."""
        await self._places.acquire()
        if self._is_closed:
            self._places.release()
            raise ShuttingDownError("The collection is being closed; try again.")
        connection = self._free.pop() if self._free else None
        lease = Lease(self._connect, connection, self._current, self._executor)
        try:
            yield lease
        finally:
            if lease.is_idle:
                self._take_back(lease)
            else:
                task = asyncio.create_task(self._settle(lease))
                self._settling.add(task)
                task.add_done_callback(self._settling.discard)

    @property
    def view(self) -> View:
        """The newest version, for reads that need no database."""
        return self._current()

    async def close(self) -> None:
        """Wait for every read that is under way and close the connections."""
        for _ in range(_MOST):
            await self._places.acquire()
        self._is_closed = True
        self._places.release()  # whoever comes late hears that it is closed
        connections, self._free = self._free, []
        loop = asyncio.get_running_loop()
        for connection in connections:
            await loop.run_in_executor(self._executor, connection.close)

    def _connect(self) -> sqlite3.Connection:
        return connect(self._file, cache_mib=_CACHE_MIB)

    async def _settle(self, lease: Lease) -> None:
        try:
            await lease.settle()
        except DATABASE_ERRORS:
            lease.connection = None  # of no use any more
        finally:
            self._take_back(lease)

    def _take_back(self, lease: Lease) -> None:
        if lease.connection is not None:
            self._free.append(lease.connection)
        self._places.release()
