"""Out of a damaged database, every document that still fits its digest, into a new one.

The damaged files are set aside first, never deleted. The schema's page is the one that everything
hangs on: where it is damaged, that of a new database takes its place, since ours are all built
alike.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from emberd.index.manifest import Manifest, sync_folder
from emberd.index.metadata import stored_fields
from emberd.index.store.records import Record, sound_records
from emberd.index.store.schema import (
    DATABASE_ERRORS,
    DATABASE_FILE,
    connect,
    create_schema,
    fill_meta,
)

__all__ = ["NEW_DATABASE_FILE", "SCRATCH_PREFIX", "Salvaged", "salvage", "set_aside"]

NEW_DATABASE_FILE = f"{DATABASE_FILE}.new"
SCRATCH_PREFIX = "salvage-"

_KEPT = 2
_SUFFIXES = ("", "-wal", "-shm")
_STEP = 2_048
_PAGE_BYTES = 4_096
# In the first page: change counter, size in pages, first free page, free pages, version valid for.
_COUNTERS = ((24, b"\0\0\0\2"), (28, b"\0\0\0\0"), (32, bytes(8)), (92, b"\0\0\0\1"))

_Sound = tuple[Record, bytes, float]


@dataclass(frozen=True, slots=True)
class Salvaged:
    kept: int
    expected: int | None
    """Documents that the damaged database said it had, where it could say."""
    aside: str
    """Name of the folder with the damaged files."""


def set_aside(folder: Path, names: list[str]) -> Path:
    """Move files of a collection into a folder of their own; only the newest two are kept."""
    stamp = time.strftime("corrupt-%Y%m%dT%H%M%S", time.gmtime())
    aside = folder / stamp
    count = 1
    while aside.exists():
        count += 1
        aside = folder / f"{stamp}.{count}"
    aside.mkdir(mode=0o700)
    for name in names:
        with suppress(FileNotFoundError):
            (folder / name).rename(aside / name)
    for old in sorted(folder.glob("corrupt-*"))[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return aside


def salvage(folder: Path, manifest: Manifest, *, version: int, last_label: int) -> Salvaged:
    """Put a new database of this version in the damaged one's place.

    Labels up to `last_label` are looked for. Raises OSError, and sqlite3.Error where not even a new
    database can be made.
    """
    fresh = folder / NEW_DATABASE_FILE
    with tempfile.TemporaryDirectory(dir=folder, prefix=SCRATCH_PREFIX) as scratch:
        copy = Path(scratch) / DATABASE_FILE
        for suffix in _SUFFIXES[:2]:
            with suppress(FileNotFoundError):
                shutil.copyfile(folder / (DATABASE_FILE + suffix), f"{copy}{suffix}")
        found, expected = _newest(_recover(copy, last_label))
        _build(fresh, manifest, found, version, last_label)
    # Killed between these two, the next opening finds no database and takes the new one.
    aside = set_aside(folder, [DATABASE_FILE + suffix for suffix in _SUFFIXES])
    fresh.rename(folder / DATABASE_FILE)
    sync_folder(folder)
    return Salvaged(len(found), expected, aside.name)


def _recover(copy: Path, last_label: int) -> tuple[list[_Sound], int | None]:
    """Everything sound in a copy that may be altered, as it is or with a new first page."""
    found, expected = _read(copy, last_label)
    if expected is None or len(found) < expected:
        _transplant_first_page(copy)
        second, also_expected = _read(copy, last_label)
        found = max(found, second, key=len)
        expected = also_expected if expected is None else expected
    return found, expected


def _read(copy: Path, last_label: int) -> tuple[list[_Sound], int | None]:
    try:
        with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
            # Lets a file be read that is shorter than its header says.
            connection.execute("PRAGMA writable_schema = ON")
            return list(_sweep(connection, last_label)), _expected(connection)
    except DATABASE_ERRORS:
        return [], None


def _sweep(connection: sqlite3.Connection, last_label: int) -> Iterator[_Sound]:
    for first in range(1, last_label + 1, _STEP):
        yield from _between(connection, first, min(first + _STEP - 1, last_label))


def _between(connection: sqlite3.Connection, first: int, last: int) -> Iterator[_Sound]:
    """What can be read between two labels: around a page that cannot, by halving."""
    try:
        yield from sound_records(connection, first, last)
    except DATABASE_ERRORS:
        if first < last:
            middle = (first + last) // 2
            yield from _between(connection, first, middle)
            yield from _between(connection, middle + 1, last)


def _expected(connection: sqlite3.Connection) -> int | None:
    try:
        row = connection.execute("SELECT value FROM meta WHERE name = 'count'").fetchone()
    except DATABASE_ERRORS:
        return None
    return row[0] if row and isinstance(row[0], int) and row[0] >= 0 else None


def _newest(recovered: tuple[list[_Sound], int | None]) -> tuple[list[_Sound], int | None]:
    """Each id once: a page that should be gone may hold what its document was before."""
    found, expected = recovered
    by_id = {each[0].id: each for each in sorted(found, key=lambda each: each[0].label)}
    return sorted(by_id.values(), key=lambda each: each[0].label), expected


def _transplant_first_page(copy: Path) -> None:
    template = copy.with_name("template")
    with closing(connect(template, cache_mib=1)) as connection:
        create_schema(connection)
    page = bytearray(template.read_bytes()[:_PAGE_BYTES])
    for offset, value in _COUNTERS:
        page[offset : offset + len(value)] = value
    with copy.open("r+b" if copy.exists() else "w+b") as stream:
        stream.write(page)


def _build(
    fresh: Path, manifest: Manifest, found: list[_Sound], version: int, last_label: int
) -> None:
    for suffix in _SUFFIXES:
        Path(f"{fresh}{suffix}").unlink(missing_ok=True)
    with closing(connect(fresh, cache_mib=16)) as connection:
        create_schema(connection)
        connection.execute("BEGIN IMMEDIATE")
        fill_meta(
            connection, manifest, version=version, next_label=last_label + 1, count=len(found)
        )
        connection.executemany(
            "INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?)",
            [
                (each.label, each.id, each.metadata_json.decode(), digest, each.vector_crc, created)
                for each, digest, created in found
            ],
        )
        texts = [(each.label, each.text) for each, _, _ in found if each.text is not None]
        connection.executemany("INSERT INTO texts VALUES (?, ?)", texts)
        connection.execute("INSERT INTO words(words) VALUES ('rebuild')")
        _insert_fields(connection, found)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _insert_fields(connection: sqlite3.Connection, found: list[_Sound]) -> None:
    paths: dict[str, int] = {}
    rows = [
        (paths.setdefault(path, len(paths) + 1), kind, value, each.label)
        for each, _, _ in found
        for path, kind, value in stored_fields(each.metadata_json)
    ]
    connection.executemany("INSERT INTO paths(name, path) VALUES (?, ?)", paths.items())
    connection.executemany("INSERT INTO fields VALUES (?, ?, ?, ?)", rows)
