"""Reading: one version of everything at once, the database's and the vectors'."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from emberd.errors import InternalError
from emberd.index.filters import Node, compile_filter
from emberd.index.store.records import Record, read_records
from emberd.index.store.view import View

__all__ = ["Snapshot"]

_TRIES = 1_000
_WAIT_S = 0.001
_CHUNK = 4_096


class Snapshot:
    """A read transaction and the view of the same version. Not for two threads at once.

    Every method raises sqlite3.Error where the database is damaged.
    """

    def __init__(self, connection: sqlite3.Connection, current: Callable[[], View]) -> None:
        self._connection = connection
        self.view = self._begin(current)

    @property
    def is_ended(self) -> bool:
        return not self._connection.in_transaction

    def end(self) -> None:
        """Let go of the version; nothing can be read after this."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def labels_where(self, node: Node) -> NDArray[np.uint64]:
        """Labels of the documents that a filter selects, in their order."""
        sql, values = compile_filter(node)
        return self._labels(f"SELECT group_concat(label) FROM ({sql})", values)  # noqa: S608

    def all_labels(self) -> NDArray[np.uint64]:
        """Labels of all documents, in their order."""
        return self._labels("SELECT group_concat(label) FROM documents", ())

    def nameless_labels(self) -> NDArray[np.uint64]:
        """Labels of the view whose ids it does not have, in their order."""
        is_nameless = [name is None for name in self.view.names.tolist()]
        return self.view.labels[self.view.alive & np.array(is_nameless, np.bool)]

    def labels_of(self, ids: Sequence[str]) -> dict[str, int]:
        """Label by id, of those that there are."""
        sql = "SELECT id, label FROM documents WHERE id IN (SELECT value FROM json_each(?))"
        return {
            name: label
            for start in range(0, len(ids), _CHUNK)
            for name, label in self._connection.execute(sql, (_json(ids[start : start + _CHUNK]),))
        }

    def records(self, labels: Sequence[int]) -> dict[int, Record]:
        """The documents by label, of those that there are.

        Raises DamagedDocumentsError where one does not fit its digest.
        """
        return read_records(self._connection, labels)

    def read_names(self, labels: Sequence[int]) -> None:
        """Verify documents and put their ids into the view. Raises what `records` does."""
        found = self.records(labels)
        rows, there = self.view.rows_of(np.fromiter(found, np.uint64, len(found)))
        names = np.array([record.id for record in found.values()], np.object_)
        self.view.names[rows[there]] = names[there]

    def execute(self, sql: str, values: Iterable[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Rows of a statement of the caller's own, within this version."""
        return iter(self._connection.execute(sql, tuple(values)))

    def _begin(self, current: Callable[[], View]) -> View:
        """SQLite's version and the view's change one just after the other: wait for both."""
        for _ in range(_TRIES):
            self._connection.execute("BEGIN")
            try:
                found = self._connection.execute("SELECT value FROM meta WHERE name = 'version'")
                version = found.fetchone()[0]
                view = current()
                if view.version == version:
                    return view
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("ROLLBACK")
            time.sleep(_WAIT_S)
        raise InternalError("The collection's database and its vectors are not of one version.")

    def _labels(self, sql: str, values: Iterable[Any]) -> NDArray[np.uint64]:
        # One string of numbers: a row each would cost four times as much.
        text = self._connection.execute(sql, tuple(values)).fetchone()[0]
        labels = np.fromstring(text or "", dtype=np.uint64, sep=",")
        labels.sort()
        return labels


def _json(values: Sequence[Any]) -> str:
    return msgspec.json.encode(list(values)).decode()
