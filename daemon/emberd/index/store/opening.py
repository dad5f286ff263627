"""Opening a collection's files: what was left behind is removed, what is damaged is mended, what
cannot be mended is set aside and told."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emberd.index.manifest import Manifest
from emberd.index.store.inspection import structure_problems
from emberd.index.store.layout import RowLayout
from emberd.index.store.salvage import NEW_DATABASE_FILE, SCRATCH_PREFIX, salvage
from emberd.index.store.schema import (
    APPLICATION_ID,
    DATABASE_ERRORS,
    DATABASE_FILE,
    SCHEMA_VERSION,
    connect,
    create_schema,
    fill_meta,
    is_damage,
)
from emberd.index.store.seal import Seal
from emberd.index.store.vectors import VectorFile
from emberd.index.store.view import View

__all__ = ["Opened", "alive_rows", "create_files", "open_files", "wanted_crcs"]

CheckedRows = tuple[NDArray[np.uint64], NDArray[np.uint32], NDArray[np.bool]]
"""Labels, crcs and which crcs are right, as VectorFile.check gives them."""
Wanted = tuple[NDArray[np.uint64], NDArray[np.int64]]

_SEAL_FILE = "acknowledged"
_WRITER_CACHE_MIB = 16
# Below this a full check of the database costs some 200 ms, so it is always made.
_ALWAYS_CHECK_BYTES = 32 << 20


@dataclass(slots=True)
class Opened:
    """A collection's files, open for the writer. `notes` say what was wrong and what was done."""

    connection: sqlite3.Connection
    file: VectorFile
    seal: Seal
    view: View
    next_label: int
    notes: list[str] = field(default_factory=list)
    is_doubtful: bool = False
    """The content should be checked before anyone relies on it."""


def create_files(folder: Path, manifest: Manifest) -> None:
    """The files of a new, empty collection. Raises OSError, sqlite3.Error."""
    with closing(connect(folder / DATABASE_FILE, cache_mib=1)) as connection:
        create_schema(connection)
        connection.execute("BEGIN IMMEDIATE")
        fill_meta(connection, manifest)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    manifest.write(folder)


def open_files(
    folder: Path, manifest: Manifest, *, distrust: bool = False, damage: str = ""
) -> Opened:
    """Open what is there. With `distrust` a database of any size is checked first; with `damage`,
    what is known to be wrong with it, a new one takes its place at once.

    Raises OSError and sqlite3.Error where the disk or the rights do not allow it.
    """
    _remove_leftovers(folder)
    layout = RowLayout(manifest.dim, manifest.dtype)
    file = VectorFile(folder / f"vectors.{manifest.dtype}", layout)
    seal = Seal(folder / _SEAL_FILE)
    try:
        rows = file.check(file.used_rows)
        return _Opening(folder, manifest, file, seal, rows).open(distrust, damage)
    except BaseException:
        file.close()
        seal.close()
        raise


@dataclass(slots=True)
class _Opening:
    folder: Path
    manifest: Manifest
    file: VectorFile
    seal: Seal
    rows: CheckedRows
    notes: list[str] = field(default_factory=list)

    def open(self, distrust: bool, damage: str) -> Opened:
        if not damage:
            try:
                return self._open_database(distrust=distrust)
            except DATABASE_ERRORS as exc:
                if not is_damage(exc):
                    raise
                self.notes.clear()
                damage = str(exc).removeprefix("malformed: ")
        self._salvage(damage)
        return self._open_database(distrust=True)

    def _open_database(self, *, distrust: bool) -> Opened:
        database = self.folder / DATABASE_FILE
        size_bytes = database.stat().st_size if database.exists() else 0
        connection = connect(database, cache_mib=_WRITER_CACHE_MIB)
        try:
            _check_version(connection)
            version, next_label, count = _meta_of(connection)
            lost = max(0, self.seal.version - version)
            is_doubtful = distrust or bool(lost) or size_bytes < _ALWAYS_CHECK_BYTES
            if is_doubtful:
                _check_structure(connection)
            if lost:
                version = self._admit_loss(connection, version, lost)
            view = self._view(connection, version, count)
        except BaseException:
            connection.close()
            raise
        next_label = max(next_label, self.seal.next_label, self._last_label() + 1)
        return Opened(connection, self.file, self.seal, view, next_label, self.notes, is_doubtful)

    def _salvage(self, reason: str) -> None:
        saved = salvage(
            self.folder,
            self.manifest,
            version=self.seal.version + 1,
            last_label=max(self.seal.next_label - 1, self._last_label()),
        )
        of = f" of {saved.expected}" if saved.expected is not None else ""
        self.notes.append(
            f"The database was damaged ({reason}). {saved.kept}{of} documents were saved into a "
            f"new one; the damaged files are in {saved.aside}. Index missing documents again."
        )

    def _last_label(self) -> int:
        """The highest label of any sound vector, committed or not: a graph may know it."""
        labels, _, good = self.rows
        return int(labels[good].max(initial=0))

    def _admit_loss(self, connection: sqlite3.Connection, version: int, lost: int) -> int:
        """The version to go on from, so that no two states ever share one."""
        self.notes.append(
            f"The last {lost} acknowledged writes are missing: the write-ahead log or the database "
            "was damaged or replaced. Write those documents again."
        )
        connection.execute("UPDATE meta SET value = ? WHERE name = 'version'", (self.seal.version,))
        return self.seal.version

    def _view(self, connection: sqlite3.Connection, version: int, count: int) -> View:
        wanted = wanted_crcs(connection)
        labels, alive = alive_rows(self.rows, wanted)
        live = int(np.count_nonzero(alive))
        if live < len(wanted[0]):
            self.notes.append(
                f"{len(wanted[0]) - live} vectors are damaged or missing; their documents are "
                "left out of searches until the vectors are computed again."
            )
        used = _used(labels, alive)
        names = np.full(used, None, np.object_)
        return View(version, self.file.rows(used), labels[:used], names, alive[:used], live, count)


def wanted_crcs(connection: sqlite3.Connection) -> Wanted:
    """Labels of all documents, in their order, and the crcs of their vectors.

    Raises sqlite3.Error.
    """
    # Two strings of numbers: a row each would cost four times as much.
    labels, crcs = connection.execute(
        "SELECT group_concat(label), group_concat(CAST(vector_crc AS INTEGER))"
        " FROM (SELECT label, vector_crc FROM documents)"
    ).fetchone()
    found = np.fromstring(labels or "", np.uint64, sep=",")
    order = np.argsort(found)
    return found[order], np.fromstring(crcs or "", np.int64, sep=",")[order]


def alive_rows(rows: CheckedRows, wanted: Wanted) -> tuple[NDArray[np.uint64], NDArray[np.bool]]:
    """A view's labels, and who is alive: rows with a right crc that their document names."""
    labels, crcs, good = rows
    good = good & _ascending(labels, good)
    named, named_crcs = wanted
    at = np.searchsorted(named, labels)
    at[at == len(named)] = 0
    if len(named):
        alive = good & (named[at] == labels) & (named_crcs[at] == crcs)
    else:
        alive = np.zeros(len(labels), np.bool)
    return np.maximum.accumulate(np.where(good, labels, np.uint64(0))), alive


def _ascending(labels: NDArray[np.uint64], good: NDArray[np.bool]) -> NDArray[np.bool]:
    """Whether each label is greater than every good one before it."""
    before = np.maximum.accumulate(np.where(good, labels, np.uint64(0)))
    return np.concatenate([labels[:1] > 0, labels[1:] > before[:-1]])


def _used(labels: NDArray[np.uint64], alive: NDArray[np.bool]) -> int:
    """Rows behind the last one that is alive can be written over."""
    return int(np.flatnonzero(alive)[-1]) + 1 if alive.any() else 0


def _check_version(connection: sqlite3.Connection) -> None:
    """A later version would have said so in the manifest, so another number here is damage."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if (application, version) != (APPLICATION_ID, SCHEMA_VERSION):
        raise sqlite3.DatabaseError("malformed: it is not a collection's database")


def _check_structure(connection: sqlite3.Connection) -> None:
    problems = structure_problems(connection)
    if problems:
        raise sqlite3.DatabaseError(f"malformed: {problems[0]}")


def _meta_of(connection: sqlite3.Connection) -> tuple[int, int, int]:
    found = dict(connection.execute("SELECT name, value FROM meta").fetchall())
    try:
        return int(found["version"]), int(found["next_label"]), int(found["count"])
    except (KeyError, TypeError, ValueError):
        raise sqlite3.DatabaseError("malformed: its counters make no sense") from None


def _remove_leftovers(folder: Path) -> None:
    """What an interrupted write by rename left; a salvage that was all but through is finished."""
    database, fresh = folder / DATABASE_FILE, folder / NEW_DATABASE_FILE
    if fresh.exists() and not database.exists():
        fresh.rename(database)
    for leftover in folder.glob("*.new*"):
        leftover.unlink(missing_ok=True)
    for scratch in folder.glob(f"{SCRATCH_PREFIX}*"):
        shutil.rmtree(scratch, ignore_errors=True)
