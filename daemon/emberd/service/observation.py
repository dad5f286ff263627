"""What the daemon does, told to plugins: records to observers, snapshots to exporters.

Nobody here waits for a plugin: records lie in a bounded queue a plugin, and what is too slow to
take them misses some. Only engine batches come from other threads; the rest is the event loop's.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from emberd.plugins import MetricsExporter, Observer, Record
from emberd.service.callers import Caller
from emberd.wire.snapshot import Snapshot

if TYPE_CHECKING:
    from emberd.plugins.plugged import Plugged

__all__ = ["Observation", "amounts_of"]

_QUEUE_RECORDS = 10_000
_BATCH_RECORDS = 1_000
# Records of a moment go together: a hand-over to another thread costs as much as twenty of them.
_GATHER_S = 0.05
_LAST_WORDS_S = 1.0
_NAME_LENGTH = 64


class Observation:
    """Owned by the event loop's thread; made on it."""

    def __init__(
        self,
        observers: Sequence[Plugged[Observer]],
        exporters: Sequence[Plugged[MetricsExporter]],
        numbers: Iterator[int] | None = None,
    ) -> None:
        """`numbers` are those that requests are told with."""
        self._feeds = [_Feed(observer) for observer in observers]
        self._exports = [_Export(exporter) for exporter in exporters]
        self._loop = asyncio.get_running_loop()
        self._numbers = numbers or itertools.count(1)
        self._gathered: list[Record] = []
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False

    @property
    def of_requests(self) -> Observation | None:
        """What requests and batches are told to; None where there is no observer."""
        return self if self._feeds else None

    def received(self, method: str, caller: Caller) -> int:
        """A request has come; the number that its end is told with, 1 or more."""
        number = next(self._numbers)
        self._add(
            Record(
                kind="received",
                time=time.time(),
                method=method[:_NAME_LENGTH],
                client=caller.name,
                client_id=caller.id,
                request=number,
            )
        )
        return number

    def ended(
        self,
        number: int,
        method: str,
        caller: Caller,
        seconds: float,
        *,
        texts: int = 0,
        tokens: int = 0,
        error: str = "",
    ) -> None:
        """The request of that number was answered, or failed with the code `error`."""
        self._add(
            Record(
                kind="failed" if error else "finished",
                time=time.time(),
                method=method[:_NAME_LENGTH],
                client=caller.name,
                client_id=caller.id,
                request=number,
                seconds=seconds,
                texts=texts,
                tokens=tokens,
                error=error,
            )
        )

    def batch(self, texts: int, tokens: int, seconds: float, error: str = "") -> None:
        """A batch has left the device; from any thread."""
        record = Record(
            kind="batch",
            time=time.time(),
            seconds=seconds,
            texts=texts,
            tokens=tokens,
            error=error,
        )
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._add, record)

    def export(self, snapshot: Snapshot) -> None:
        """Hand a new snapshot to every exporter that is not busy with an older one."""
        if not self._is_closed:
            for export in self._exports:
                export.offer(snapshot)

    async def close(self) -> None:
        """Tell what is left, for a second at most; later records are lost."""
        self._flush()
        self._is_closed = True
        await asyncio.gather(
            *[asyncio.to_thread(feed.wait_idle, _LAST_WORDS_S) for feed in self._feeds]
        )

    def _add(self, record: Record) -> None:
        if self._is_closed:
            return
        self._gathered.append(record)
        if len(self._gathered) >= _BATCH_RECORDS:
            self._flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(_GATHER_S, self._flush)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        records, self._gathered = self._gathered, []
        if records:
            for feed in self._feeds:
                feed.put(records)


class _Feed:
    """An observer and the records that it has not heard yet."""

    def __init__(self, plugged: Plugged[Observer]) -> None:
        self._plugged = plugged
        self._queue: deque[Record] = deque()
        self._idle = threading.Condition()
        self._is_busy = False

    def put(self, records: Sequence[Record]) -> None:
        """Queue what there is room for; the rest is counted as dropped."""
        guard = self._plugged.guard
        if not guard.is_active:
            return
        room = _QUEUE_RECORDS - len(self._queue)
        self._queue.extend(records[:room])
        if len(records) > room:
            guard.dropped(len(records) - room)
        self._deliver_soon()

    def wait_idle(self, timeout_s: float) -> bool:
        """Block until everything was heard; False when that takes longer."""
        with self._idle:
            return self._idle.wait_for(lambda: not (self._is_busy or self._queue), timeout_s)

    def _deliver_soon(self) -> None:
        with self._idle:
            if self._is_busy or not self._queue:
                return
            self._is_busy = True
        self._plugged.thread.submit(self._deliver)

    def _deliver(self) -> None:
        """On the plugin's thread. One batch a turn: its limiter may be waiting for the thread."""
        queue, plugged = self._queue, self._plugged
        records = [queue.popleft() for _ in range(min(len(queue), _BATCH_RECORDS))]
        try:
            if plugged.guard.is_active:
                with plugged.guard.watch():
                    plugged.object.observe(records)
        finally:
            with self._idle:
                self._is_busy = False
                self._idle.notify_all()
            self._deliver_soon()


class _Export:
    """An exporter, which is given one snapshot at a time."""

    def __init__(self, plugged: Plugged[MetricsExporter]) -> None:
        self._plugged = plugged
        self._is_busy = False

    def offer(self, snapshot: Snapshot) -> None:
        if self._is_busy or not self._plugged.guard.is_active:
            return
        self._is_busy = True
        self._plugged.thread.submit(lambda: self._export(snapshot))

    def _export(self, snapshot: Snapshot) -> None:
        """On the plugin's thread."""
        try:
            with self._plugged.guard.watch():
                self._plugged.object.export(snapshot)
        finally:
            self._is_busy = False


def amounts_of(method: str, result: Any) -> tuple[int, int]:
    """Texts and tokens of a reply, where it is one to `embed`."""
    if method != "embed" or result is None:
        return 0, 0
    return result["count"], result["tokens"]
