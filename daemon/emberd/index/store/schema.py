"""The SQLite database of a collection: the one module that opens it, and what its errors mean.

`documents` is the list of what is there, `texts` the texts, `fields` one row for each metadata
value (so filters are ranges of a key), `words` the full text index over `texts`, `meta` the
counters. The label of a document grows with every change and is never used twice.
"""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

from emberd.errors import StorageError
from emberd.index.manifest import FORMAT, Manifest

__all__ = [
    "APPLICATION_ID",
    "DATABASE_ERRORS",
    "DATABASE_FILE",
    "SCHEMA_VERSION",
    "connect",
    "create_schema",
    "create_words",
    "fill_meta",
    "is_damage",
    "is_disk_full",
    "storage_error",
]

APPLICATION_ID = 0x454D4244  # "EMBD"
SCHEMA_VERSION = FORMAT
DATABASE_FILE = "documents.sqlite"

_BUSY_S = 30.0
_WAL_LIMIT_BYTES = 64 << 20

_SCHEMA = (
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID",
    """CREATE TABLE documents(
        label INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        metadata TEXT NOT NULL,
        digest BLOB NOT NULL,
        vector_crc INTEGER NOT NULL,
        created REAL NOT NULL)""",
    "CREATE TABLE texts(label INTEGER PRIMARY KEY, text TEXT NOT NULL)",
    "CREATE TABLE paths(path INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    """CREATE TABLE fields(
        path INTEGER NOT NULL, kind INTEGER NOT NULL, value NOT NULL, label INTEGER NOT NULL,
        PRIMARY KEY(path, kind, value, label)) WITHOUT ROWID""",
)
_WORDS = (
    """CREATE VIRTUAL TABLE words USING fts5(
        text, content='texts', content_rowid='label', tokenize='unicode61 remove_diacritics 2')""",
    "CREATE VIRTUAL TABLE vocabulary USING fts5vocab(words, row)",
)

DATABASE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""What a damaged database raises: UnicodeDecodeError where SQLite's message quotes its text."""

_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_READONLY)
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
# How FTS5, fts5vocab and the sqlite3 module itself say it.
_DAMAGE_WORDS = ("malformed", "corrupt", "not a database", "could not decode", "constructor failed")


def connect(file: Path, *, cache_mib: int) -> sqlite3.Connection:
    """A connection whose transactions begin where the code says so; any one thread may use it.

    Raises sqlite3.Error.
    """
    connection = sqlite3.connect(
        file, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
    )
    try:
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            # A deleted text is gone, from the file too, and a salvage cannot bring it back.
            "secure_delete = ON",
            "cell_size_check = ON",
            "temp_store = MEMORY",
            f"cache_size = -{cache_mib << 10}",
            f"journal_size_limit = {_WAL_LIMIT_BYTES}",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def create_schema(connection: sqlite3.Connection) -> None:
    """Make the tables of an empty database."""
    connection.execute("BEGIN IMMEDIATE")
    for statement in _SCHEMA:
        connection.execute(statement)
    create_words(connection)
    connection.execute("COMMIT")


def fill_meta(
    connection: sqlite3.Connection,
    manifest: Manifest,
    *,
    version: int = 1,
    next_label: int = 1,
    count: int = 0,
) -> None:
    """The rows of `meta` in a new database."""
    connection.executemany(
        "INSERT INTO meta(name, value) VALUES (?, ?)",
        [
            ("manifest", manifest.to_json()),
            ("version", version),
            ("next_label", next_label),
            ("count", count),
        ],
    )


def create_words(connection: sqlite3.Connection) -> None:
    """Make the tables of the full text index."""
    for statement in _WORDS:
        connection.execute(statement)


def is_damage(exc: Exception) -> bool:
    """The file is not to be relied on as it is."""
    if isinstance(exc, UnicodeDecodeError):
        return True
    code = getattr(exc, "sqlite_errorcode", 0) & 0xFF
    if code in _DAMAGE:
        return True
    return isinstance(exc, sqlite3.DatabaseError) and any(
        word in str(exc).lower() for word in _DAMAGE_WORDS
    )


def is_disk_full(exc: Exception) -> bool:
    """No more can be written for now, but what is there is whole."""
    if isinstance(exc, OSError):
        return exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    code = getattr(exc, "sqlite_errorcode", 0)
    return code in _FULL or code & 0xFF in _FULL


def storage_error(folder: Path, exc: Exception) -> StorageError:
    """The error that a caller sees for one of SQLite's or of the system's."""
    if is_damage(exc):
        reason = f"its database is damaged ({exc}). `emberd collections check` mends it"
    elif is_disk_full(exc):
        reason = f"its disk takes no more ({exc}). Nothing was written; free some space"
    else:
        reason = f"{exc}. See that the folder can be written and its disk has room"
    return StorageError(
        f"The collection {folder.name!r} cannot be used: {reason}.",
        details={"path": str(folder)},
    )
