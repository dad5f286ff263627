"""Write-behind: one thread that writes to one tier in groups, so that no reply waits for a disk.

Each tier has its own, so that a tier that hangs or fails holds up no other.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeVar

from emberd.cache.breaker import Breaker
from emberd.plugins.abilities import Maintained
from emberd.plugins.contracts import CacheTier
from emberd.wire.snapshot import WriteBehindStats

__all__ = ["WriteBehind"]

T = TypeVar("T")

_GROUP_ROWS = 512
_QUEUE_BYTES = 32 << 20
_UPKEEP_S = 30.0
# Beside its key and value: the pair and its place in a list.
_ROW_BYTES = 100

Item = tuple[bytes, bytes]


@dataclass(slots=True)
class _Rows:
    namespace: str
    items: Sequence[Item]
    size_bytes: int


@dataclass(slots=True)
class _Errand:
    """Something to do once everything queued before it is written."""

    run: Callable[[], object]
    done: Future[object] = field(default_factory=Future)


class WriteBehind:
    """A bounded queue in front of a tier's `set_many`.

    A group is written `commit_s` after its first row, or with 512 rows. When the queue is full new
    rows are dropped; when the tier fails its rows are dropped, and its breaker spares it the next
    ones. Both are counted, neither is anyone's error.
    """

    def __init__(
        self,
        tier: CacheTier,
        breaker: Breaker,
        *,
        commit_s: float,
        queue_bytes: int = _QUEUE_BYTES,
        upkeep_s: float = _UPKEEP_S,
    ) -> None:
        self.errors = 0
        self._tier = tier
        self._breaker = breaker
        self._commit_s = commit_s
        self._queue_bytes = queue_bytes
        self._upkeep_s = upkeep_s
        self._changed = threading.Condition()
        self._queue: deque[_Rows | _Errand] = deque()
        self._queued = self._queued_bytes = self._errands = 0
        self._written = self._dropped = 0
        self._first_at = 0.0
        self._closing = False
        self._thread = threading.Thread(
            target=self._run, name=f"write-behind-{tier.name}", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def offer(self, namespace: str, items: Sequence[Item]) -> None:
        """Queue rows for writing; never blocks on the tier."""
        with self._changed:
            for start in range(0, len(items), _GROUP_ROWS):
                self._offer_group(namespace, items[start : start + _GROUP_ROWS])
            self._changed.notify_all()

    def run_after(self, run: Callable[[], T]) -> Future[T]:
        """Run something on the writer's thread once all rows queued so far are written."""
        errand = _Errand(run)
        with self._changed:
            if self._closing:
                errand.done.cancel()
            else:
                self._queue.append(errand)
                self._errands += 1
                self._changed.notify_all()
        return errand.done  # type: ignore[return-value]

    def forget(self, namespace: str | None) -> None:
        """Drop the queued rows of a namespace, or all of them."""
        with self._changed:
            kept = [
                entry
                for entry in self._queue
                if isinstance(entry, _Errand)
                or (namespace is not None and entry.namespace != namespace)
            ]
            self._queue = deque(kept)
            rows = [entry for entry in kept if isinstance(entry, _Rows)]
            self._queued = sum(len(entry.items) for entry in rows)
            self._queued_bytes = sum(entry.size_bytes for entry in rows)

    def flush(self, timeout_s: float | None = None) -> None:
        """Return when everything queued so far is written or dropped. Raises TimeoutError."""
        self.run_after(lambda: None).result(timeout_s)

    def close(self, timeout_s: float | None = None) -> None:
        """Write what is queued and end the thread, or leave it behind after `timeout_s`."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def stats(self) -> WriteBehindStats:
        return WriteBehindStats(queued=self._queued, written=self._written, dropped=self._dropped)

    def _offer_group(self, namespace: str, items: Sequence[Item]) -> None:
        size_bytes = sum(len(key) + len(value) + _ROW_BYTES for key, value in items)
        if self._closing or self._queued_bytes + size_bytes > self._queue_bytes:
            self._dropped += len(items)
            return
        if not self._queued:
            self._first_at = time.monotonic()
        self._queue.append(_Rows(namespace, items, size_bytes))
        self._queued += len(items)
        self._queued_bytes += size_bytes

    def _run(self) -> None:
        upkeep_at = time.monotonic() + self._upkeep_s
        while (group := self._next_group(upkeep_at)) is not None:
            for entry in _merged(group):
                if isinstance(entry, _Rows):
                    self._write(entry)
                else:
                    _do(entry)
            if time.monotonic() >= upkeep_at:
                self._maintain()
                upkeep_at = time.monotonic() + self._upkeep_s

    def _next_group(self, upkeep_at: float) -> list[_Rows | _Errand] | None:
        """Wait for a group that is due; it is empty when it is time for upkeep, None at the end."""
        with self._changed:
            while not self._closing and not self._errands and self._queued < _GROUP_ROWS:
                due = self._first_at + self._commit_s if self._queued else upkeep_at
                wait_s = min(due, upkeep_at) - time.monotonic()
                if wait_s <= 0:
                    break
                self._changed.wait(wait_s)
            if self._closing and not self._queue:
                return None
            return self._take()

    def _take(self) -> list[_Rows | _Errand]:
        group: list[_Rows | _Errand] = []
        rows = 0
        while self._queue and rows < _GROUP_ROWS:
            entry = self._queue.popleft()
            group.append(entry)
            if isinstance(entry, _Rows):
                rows += len(entry.items)
                self._queued_bytes -= entry.size_bytes
            else:
                self._errands -= 1
        self._queued -= rows
        self._first_at = time.monotonic()
        return group

    def _write(self, rows: _Rows) -> None:
        if not self._breaker.allows():
            self._count(dropped=len(rows.items))
            return
        started = time.monotonic()
        try:
            self._tier.set_many(rows.namespace, rows.items)
        except Exception as exc:  # any tier, any fault: a lost write
            self.errors += 1
            self._count(dropped=len(rows.items))
            self._breaker.failed(str(exc))
        else:
            self._count(written=len(rows.items))
            self._breaker.succeeded(time.monotonic() - started)

    def _count(self, *, written: int = 0, dropped: int = 0) -> None:
        with self._changed:
            self._written += written
            self._dropped += dropped

    def _maintain(self) -> None:
        if not isinstance(self._tier, Maintained):
            return
        try:
            self._tier.maintain()
        except Exception:  # tried again at the next upkeep
            self.errors += 1


def _merged(group: list[_Rows | _Errand]) -> list[_Rows | _Errand]:
    """Neighbouring rows of one namespace become one write; errands keep their place."""
    merged: list[_Rows | _Errand] = []
    open_rows: dict[str, list[Item]] = {}
    for entry in group:
        if isinstance(entry, _Rows):
            open_rows.setdefault(entry.namespace, []).extend(entry.items)
        else:
            merged += [_Rows(namespace, items, 0) for namespace, items in open_rows.items()]
            open_rows = {}
            merged.append(entry)
    merged += [_Rows(namespace, items, 0) for namespace, items in open_rows.items()]
    return merged


def _do(errand: _Errand) -> None:
    if not errand.done.set_running_or_notify_cancel():
        return
    try:
        errand.done.set_result(errand.run())
    except BaseException as exc:  # belongs to whoever waits for the errand
        errand.done.set_exception(exc)
