"""Changes to a collection inside one SQLite transaction; the vectors wait in memory until its end.

Runs on the writer's thread only.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from emberd.index.filters import Statement
from emberd.index.metadata import Field, stored_fields
from emberd.index.store.batch import Batch
from emberd.index.store.layout import RowLayout, Rows
from emberd.index.store.view import View

__all__ = ["Transaction", "Upserted"]

_CHUNK = 4_096
_FIND = "SELECT id, label, digest FROM documents WHERE id IN (SELECT value FROM json_each(?))"
_METADATA_OF = (
    "SELECT label, CAST(metadata AS BLOB) FROM documents"
    " WHERE label IN (SELECT value FROM json_each(?))"
)
_REMOVE = (
    "INSERT INTO words(words, rowid, text) SELECT 'delete', label, text FROM texts"
    " WHERE label IN (SELECT value FROM json_each(?))",
    "DELETE FROM texts WHERE label IN (SELECT value FROM json_each(?))",
    "DELETE FROM documents WHERE label IN (SELECT value FROM json_each(?))",
)


@dataclass(frozen=True, slots=True)
class Upserted:
    inserted: int
    updated: int
    unchanged: int


@dataclass(slots=True)
class _Old:
    """A document that an upsert found in its place."""

    label: int
    digest: bytes


@dataclass(slots=True)
class Transaction:
    """What a group of writes has done so far. `view` is the version before it."""

    connection: sqlite3.Connection
    layout: RowLayout
    view: View
    next_label: int
    paths: dict[str, int]
    appended: list[Rows] = field(default_factory=list)
    names: list[list[str]] = field(default_factory=list)
    """Ids of the appended rows."""
    deleted: list[int] = field(default_factory=list)
    count: int = 0
    """Documents more (or fewer) than before."""
    is_changed: bool = False

    def mark(self) -> tuple[int, int, int, int, bool]:
        """The place to come back to when a write of the group fails alone."""
        return len(self.appended), len(self.deleted), self.count, self.next_label, self.is_changed

    def rewind(self, mark: tuple[int, int, int, int, bool]) -> None:
        appended, deleted, self.count, self.next_label, self.is_changed = mark
        del self.appended[appended:], self.names[appended:], self.deleted[deleted:]
        self.paths.clear()  # a name that was new may have lost its number

    def upsert(self, batch: Batch) -> Upserted:
        """Put documents in; those that are there already, exactly so, are left alone."""
        found = self._find(batch.ids)
        same = self._unchanged(batch, found)
        fresh = [index for index, name in enumerate(batch.ids) if name not in same]
        replaced = [found[batch.ids[index]].label for index in fresh if batch.ids[index] in found]
        self._remove(replaced)
        self._insert(batch, fresh)
        return Upserted(len(fresh) - len(replaced), len(replaced), len(same))

    def mend(self, batch: Batch, labels: Mapping[str, int]) -> int:
        """Write documents anew that still have these labels; returns how many did."""
        found = self._find(batch.ids)
        same = [
            index
            for index, name in enumerate(batch.ids)
            if name in found and found[name].label == labels[name]
        ]
        self._remove([labels[batch.ids[index]] for index in same])
        self._insert(batch, same)
        return len(same)

    def delete_ids(self, ids: Sequence[str]) -> int:
        """Take documents out; returns how many there were."""
        labels = [old.label for old in self._find(ids).values()]
        self._remove(labels)
        return len(labels)

    def delete_where(self, statement: Statement) -> int:
        """Take out every document that a compiled filter selects."""
        labels = [label for (label,) in self.connection.execute(*statement)]
        self._remove(labels)
        return len(labels)

    def hide(self, labels: list[int]) -> None:
        """Keep documents out of searches: their vectors are damaged."""
        self.deleted += labels
        self.is_changed |= bool(labels)

    def _find(self, ids: Sequence[str]) -> dict[str, _Old]:
        return {
            name: _Old(label, digest)
            for chunk in _chunks(ids)
            for name, label, digest in self.connection.execute(_FIND, (_json(chunk),))
        }

    def _unchanged(self, batch: Batch, found: dict[str, _Old]) -> set[str]:
        """Ids whose document is the same to the last bit, and whose stored vector is sound."""
        at = {name: index for index, name in enumerate(batch.ids) if name in found}
        labels = np.array([found[name].label for name in at], np.uint64)
        rows, sound = self.view.rows_of(labels)
        crcs = self.layout.rows_of(labels, batch.vectors[list(at.values())])["crc"]
        same = set()
        for position, (name, index) in enumerate(at.items()):
            digest = batch.digest(index, found[name].label, int(crcs[position]))
            if (
                digest == found[name].digest
                and sound[position]
                and np.array_equal(self.view.vectors[rows[position]], batch.vectors[index])
            ):
                same.add(name)
        return same

    def _insert(self, batch: Batch, indices: list[int]) -> None:
        if not indices:
            return
        labels = range(self.next_label, self.next_label + len(indices))
        self.next_label += len(indices)
        rows = self.layout.rows_of(np.array(labels, np.uint64), batch.vectors[indices])
        numbered = list(zip(labels, indices, rows["crc"].tolist(), strict=True))
        self.insert_documents(self._described(batch, numbered))
        self.insert_texts((label, batch.texts[index]) for label, index, _ in numbered)
        self.insert_fields((label, batch.fields[index]) for label, index, _ in numbered)
        self.appended.append(rows)
        self.names.append([batch.ids[index] for index in indices])
        self.count += len(indices)
        self.is_changed = True

    def _described(
        self, batch: Batch, numbered: list[tuple[int, int, int]]
    ) -> Iterator[tuple[Any, ...]]:
        now = time.time()
        for label, index, crc in numbered:
            digest = batch.digest(index, label, crc)
            yield label, batch.ids[index], batch.metadata[index], digest, crc, now

    def insert_documents(self, rows: Iterator[tuple[Any, ...]]) -> None:
        """Rows of `(label, id, metadata, digest, vector_crc, created)`."""
        self.connection.executemany(
            "INSERT INTO documents(label, id, metadata, digest, vector_crc, created)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            rows,
        )

    def insert_texts(self, texts: Iterator[tuple[int, str | None]]) -> None:
        """The texts that there are, and their words into the full text index."""
        rows = [(label, text) for label, text in texts if text is not None]
        self.connection.executemany("INSERT INTO texts(label, text) VALUES (?, ?)", rows)
        self.connection.executemany("INSERT INTO words(rowid, text) VALUES (?, ?)", rows)

    def insert_fields(self, documents: Iterator[tuple[int, list[Field]]]) -> None:
        self.connection.executemany(
            "INSERT INTO fields(path, kind, value, label) VALUES (?, ?, ?, ?)",
            [
                (self._path_of(path), kind, value, label)
                for label, fields in documents
                for path, kind, value in fields
            ],
        )

    def _remove(self, labels: Sequence[int]) -> None:
        for chunk in _chunks(labels):
            among = (_json(chunk),)
            self._remove_fields(among)
            for statement in _REMOVE:
                self.connection.execute(statement, among)
        self.deleted += labels
        self.count -= len(labels)
        self.is_changed |= bool(labels)

    def _remove_fields(self, among: tuple[str]) -> None:
        """By their whole key, which the metadata gives: the table has no order by label."""
        found = self.connection.execute(_METADATA_OF, among).fetchall()
        self.connection.executemany(
            "DELETE FROM fields WHERE path = ? AND kind = ? AND value = ? AND label = ?",
            [
                (self._path_of(path), kind, value, label)
                for label, metadata in found
                for path, kind, value in stored_fields(metadata)
            ],
        )

    def _path_of(self, name: str) -> int:
        path = self.paths.get(name)
        if path is None:
            self.connection.execute("INSERT OR IGNORE INTO paths(name) VALUES (?)", (name,))
            found = self.connection.execute("SELECT path FROM paths WHERE name = ?", (name,))
            path = self.paths[name] = int(found.fetchone()[0])
        return path


def _chunks(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (values[start : start + _CHUNK] for start in range(0, len(values), _CHUNK))


def _json(values: Sequence[Any]) -> str:
    return msgspec.json.encode(list(values)).decode()
