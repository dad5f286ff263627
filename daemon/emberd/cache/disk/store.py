"""The open environment: its transactions, its tables, and what happens when it fails.

Readers on any thread, one writer at a time. Whatever LMDB raises leaves here as
CacheUnavailableError: a full disk makes the store read-only for a while, a damaged file is set
aside and a new one begun.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Literal

import lmdb

from emberd.cache.disk.environment import (
    Table,
    is_damage,
    is_disk_full,
    open_environment,
    open_table,
)
from emberd.cache.disk.gate import Gate
from emberd.cache.disk.home import Home
from emberd.cache.disk.plan import Plan, map_bytes
from emberd.cache.disk.read_only import ReadOnly
from emberd.cache.disk.rebuild import is_rebuild_due, rebuild
from emberd.cache.disk.rows import last_rowid
from emberd.cache.lower import SharedFile
from emberd.errors import CacheUnavailableError

__all__ = ["MapFullError", "Store"]


class MapFullError(CacheUnavailableError):
    """A transaction needed more pages than the file may have; the next may keep less."""


class Store:
    """Owns the environment in `folder` until `close`. Raises CacheUnavailableError."""

    def __init__(self, folder: Path, budget_bytes: int, monotonic: Callable[[], float]) -> None:
        self.read_only = ReadOnly(monotonic)
        self.note = ""
        """What was done to the file to get it open, for people to read."""
        self.next_rowid = 0
        self._gate = Gate()
        self._writer = threading.Lock()
        self._pid = os.getpid()
        self._is_closed = False
        self._generation = 0
        self._home = Home(folder)
        try:
            self._open(budget_bytes, distrust=not self._home.was_closed)
        except BaseException:
            self._home.leave(is_sound=False)
            raise

    @property
    def state(self) -> Literal["ok", "read_only", "off"]:
        return "off" if self._is_closed else "read_only" if self.read_only else "ok"

    @property
    def message(self) -> str:
        """What people should know about that state."""
        return self.read_only.message or self.note

    @property
    def mapping(self) -> SharedFile | None:
        """Where others can read, None once it is closed."""
        if self._is_closed:
            return None
        return SharedFile(self._home.environment, map_bytes(self.plan.budget_bytes))

    def check_readers(self) -> None:
        """Free what readers held that have died: their pages could not be used again."""
        with suppress(CacheUnavailableError), self._translating(), self._gate.shared():
            self._check()
            self._env.reader_check()

    @contextmanager
    def reading(
        self, namespace: str
    ) -> Iterator[tuple[lmdb.Transaction[memoryview], Table | None]]:
        """A read transaction and the namespace's tables, None where there are none; what the
        transaction hands out are views, valid inside only."""
        self._check()
        with self._translating(), self._gate.shared():
            self._check()
            # Before the transaction: a table made after its start is not in what it sees.
            table = self.tables.get(namespace)
            with self._env.begin(buffers=True) as txn:
                yield txn, table

    @contextmanager
    def writing(self) -> Iterator[lmdb.Transaction[bytes]]:
        """A write transaction, committed at the end; raises at once while read-only."""
        self._check()
        self.read_only.check()
        with self._translating(), self._writer, self._gate.shared():
            self._check()
            with self._env.begin(write=True) as txn:
                yield txn
            self._after_commit()
        self.read_only.leave()

    def make_table(self, namespace: str) -> Table:
        """The namespace's tables, made if need be."""
        table = self.tables.get(namespace)
        if table is not None:
            return table
        self._check()
        self.read_only.check()
        with self._translating(), self._writer, self._gate.shared():
            self._check()
            table = self.tables[namespace] = open_table(self._env, namespace)
        return table

    def wipe(self) -> None:
        """Begin with an empty file; the old one's space goes back to the disk."""
        self._check()
        with self._writer:
            self._restart(self._generation, self._home.wipe)

    def close(self) -> None:
        """Write everything out and let go. A second call, or one after a fork, does nothing."""
        if self._is_closed or os.getpid() != self._pid:
            return
        with self._writer, self._gate.alone():
            self._is_closed = True
            is_sound = True
            try:
                self._env.sync(True)
            except lmdb.Error:
                is_sound = False
            self._env.close()
            self._home.leave(is_sound=is_sound)

    def _check(self) -> None:
        if os.getpid() != self._pid:
            raise CacheUnavailableError(
                "This cache was opened before the process forked. Open it anew in the child."
            )
        if self._is_closed:
            raise CacheUnavailableError(self.note or "The cache is closed.")

    @contextmanager
    def _translating(self) -> Iterator[None]:
        generation = self._generation
        try:
            yield
        except lmdb.MapFullError as exc:
            self.plan.tighten()
            raise MapFullError("The cache's file is full.") from exc
        except (lmdb.Error, SystemError) as exc:
            if is_disk_full(exc):
                self.read_only.enter(_reason(exc))
                raise CacheUnavailableError(self.read_only.message) from exc
            if is_damage(exc):
                # LMDB's word counts for more than the checker's, which does not see everything.
                self._restart(generation, partial(self._condemn, str(exc)))
            elif isinstance(exc, lmdb.PanicError):
                self._restart(generation, lambda: None)
            raise CacheUnavailableError(f"The cache failed: {exc}.") from exc

    def _condemn(self, reason: str) -> None:
        self.note = self._home.set_aside("corrupt", reason)

    def _restart(self, generation: int, prepare: Callable[[], None]) -> None:
        """Close the environment, prepare its folder and open it again, with no reader inside."""
        with self._gate.alone():
            if self._is_closed or self._generation != generation:
                return  # another thread met the same fault and has done it
            self._env.close()
            try:
                prepare()
                self._open(self.plan.budget_bytes, distrust=True)
            except (OSError, CacheUnavailableError) as exc:
                self._is_closed = True
                self.note = f"The cache could not be opened again: {exc}"
                self._home.leave(is_sound=False)
                raise CacheUnavailableError(self.note) from exc

    def _open(self, budget_bytes: int, *, distrust: bool) -> None:
        self._generation += 1
        self._attach(budget_bytes, distrust=distrust)
        if is_rebuild_due(self.file_bytes, self._live_bytes(), self.plan):
            with suppress(lmdb.Error, OSError):  # no room for a copy: stay as it is
                rebuild(self._env, list(self.tables.values()), self._home, self.plan)
            self._attach(budget_bytes, distrust=False)

    def _attach(self, budget_bytes: int, *, distrust: bool) -> None:
        self._env, namespaces, note = open_environment(
            self._home, map_bytes(budget_bytes), distrust=distrust
        )
        self.plan = Plan(budget_bytes, self._env.stat()["psize"])
        self.note = note or self.note
        self.tables = {namespace: open_table(self._env, namespace) for namespace in namespaces}
        self.file_bytes = self._measure_file()
        with self._env.begin() as txn:
            newest = [last_rowid(txn, table) for table in self.tables.values()]
        self.next_rowid = max([self.next_rowid, *(rowid + 1 for rowid in newest)])

    def _after_commit(self) -> None:
        with self._env.begin() as txn:
            for table in self.tables.values():
                table.entries, table.size_bytes = table.measured(txn)
        before, self.file_bytes = self.file_bytes, self._measure_file()
        if self.file_bytes > max(before, self.plan.budget_bytes):
            self.plan.tighten()

    def _live_bytes(self) -> int:
        return sum(table.size_bytes for table in self.tables.values())

    def _measure_file(self) -> int:
        return int((self._env.info()["last_pgno"] + 1) * self.plan.page_bytes)


def _reason(exc: Exception) -> str:
    return str(getattr(exc, "reason", "") or exc)
