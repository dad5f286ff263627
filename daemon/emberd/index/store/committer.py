"""Groups of writes made durable: vectors onto the disk, then SQLite's commit, then the view.

Everything here runs on the writer's thread; `view` may be read from any.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberd.index.store.layout import RowLayout
from emberd.index.store.schema import DATABASE_ERRORS
from emberd.index.store.seal import Seal
from emberd.index.store.transaction import Transaction
from emberd.index.store.vectors import VectorFile
from emberd.index.store.view import View

__all__ = ["Committer", "Job", "OnCommit"]

Job = tuple[Callable[[Transaction], Any], "Future[Any]"]
"""What to do within a transaction, and whom to tell once it is durable."""

OnCommit = Callable[[View, list[int]], None]
"""The view after a commit and the labels that it took out; called on the writer's thread."""

_SET_META = "UPDATE meta SET value = ? WHERE name = ?"


class Committer:
    """Owner of the writing connection, the vectors' file and the current view."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        file: VectorFile,
        seal: Seal,
        view: View,
        next_label: int,
        on_commit: OnCommit,
    ) -> None:
        self.view = view
        self.next_label = next_label
        self.connection = connection
        self._file = file
        self._seal = seal
        self._on_commit = on_commit
        self._paths: dict[str, int] = {}
        # The view's columns with room behind them: an append copies only now and then.
        self._labels = view.labels
        self._names = view.names

    @property
    def layout(self) -> RowLayout:
        return self._file.layout

    def run(self, jobs: Sequence[Job]) -> None:
        """Do the jobs in one transaction; each is told its result after the commit.

        A job that raises fails alone; a transaction that cannot be committed fails every job.
        """
        settle: list[Callable[[], None]] = []
        try:
            transaction = self._begin()
            for work, future in jobs:
                settle.append(self._attempt(transaction, work, future))
            self._finish(transaction)
        except Exception as exc:  # whatever it is, everyone who waits hears of it
            self._paths.clear()
            with suppress(*DATABASE_ERRORS):
                self.connection.execute("ROLLBACK")
            for _, future in jobs:
                future.set_exception(exc)
        else:
            for tell in settle:
                tell()

    def compact(self) -> int:
        """Write the vectors that are alive into a new file; returns how many rows that saved."""
        before = self.view
        # Should the log be damaged later, it must not bring back documents whose rows are gone.
        self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        kept = np.flatnonzero(before.alive)
        self._file = self._file.replace(before.rows, kept)
        self._labels = before.labels[kept]
        self._names = before.names[kept]
        alive = np.ones(len(kept), np.bool)
        self._publish(self._view(before.version, alive, before.count), [])
        return before.dead

    def close(self) -> None:
        """Put everything into the database's own file and let go of all files."""
        with suppress(*DATABASE_ERRORS):  # the log is replayed at the next opening
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self.connection.close()
        self._file.close()
        self._seal.close()

    def _begin(self) -> Transaction:
        self.connection.execute("BEGIN IMMEDIATE")
        return Transaction(self.connection, self.layout, self.view, self.next_label, self._paths)

    def _attempt(
        self, transaction: Transaction, work: Callable[[Transaction], Any], future: Future[Any]
    ) -> Callable[[], None]:
        mark = transaction.mark()
        self.connection.execute("SAVEPOINT job")
        try:
            result = work(transaction)
        except Exception as exc:
            # SQLite ends the whole transaction by itself on a full disk and the like.
            if not self.connection.in_transaction:
                raise
            self.connection.execute("ROLLBACK TO job")
            self.connection.execute("RELEASE job")
            transaction.rewind(mark)
            failure = exc
            return lambda: future.set_exception(failure)
        self.connection.execute("RELEASE job")
        return lambda: future.set_result(result)

    def _finish(self, transaction: Transaction) -> None:
        if not transaction.is_changed:
            self.connection.execute("ROLLBACK")
            return
        if transaction.appended:
            self._file.write(len(self.view.labels), transaction.appended)
        # Made before the commit: nothing may fail behind it.
        view = self._view(
            self.view.version + 1,
            self._alive_after(transaction),
            self.view.count + transaction.count,
        )
        for name, value in (
            ("version", view.version),
            ("next_label", transaction.next_label),
            ("count", view.count),
        ):
            self.connection.execute(_SET_META, (value, name))
        self.connection.execute("COMMIT")
        self.next_label = transaction.next_label
        self._seal.note(view.version, self.next_label)
        self._publish(view, transaction.deleted)

    def _alive_after(self, transaction: Transaction) -> NDArray[np.bool]:
        at = len(self.view.labels)
        size = at + sum(map(len, transaction.appended))
        self._labels = _with_room(self._labels, at, size)
        self._names = _with_room(self._names, at, size)
        for rows, names in zip(transaction.appended, transaction.names, strict=True):
            stop = at + len(rows)
            self._labels[at:stop], self._names[at:stop] = rows["label"], names
            at = stop
        at = len(self.view.labels)
        alive = np.ones(size, np.bool)
        alive[:at] = self.view.alive
        alive[_rows_of(self._labels[:size], transaction.deleted)] = False
        return alive

    def _view(self, version: int, alive: NDArray[np.bool], count: int) -> View:
        size = len(alive)
        return View(
            version=version,
            rows=self._file.rows(size),
            labels=self._labels[:size],
            names=self._names[:size],
            alive=alive,
            live=int(np.count_nonzero(alive)),
            count=count,
        )

    def _publish(self, view: View, deleted: list[int]) -> None:
        self.view = view
        self._on_commit(view, deleted)


def _with_room(column: NDArray[Any], used: int, size: int) -> NDArray[Any]:
    """The column itself, or a copy of what is used with half as much again behind it."""
    if size <= len(column):
        return column
    grown = np.zeros(max(size, len(column) * 3 // 2), column.dtype)
    grown[:used] = column[:used]
    return grown


def _rows_of(labels: NDArray[np.uint64], wanted: Sequence[int]) -> NDArray[np.intp]:
    """Rows of these labels, alive or not; documents whose vector is damaged have none."""
    sought = np.array(wanted, np.uint64)
    at = np.searchsorted(labels, sought)
    at = np.minimum(at, max(len(labels) - 1, 0))
    return at[labels[at] == sought] if len(labels) else at[:0]
