"""Is the database what it was when it was written? Finding only; `mending` puts it right.

Structure is SQLite's own check; the documents are checked against their digests, the full text
index against the texts, the rows for filters against the metadata.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from emberd.index.metadata import stored_fields
from emberd.index.store.records import damaged_labels
from emberd.index.store.schema import DATABASE_ERRORS, is_damage

__all__ = ["Findings", "inspect_content", "structure_problems"]

_SHOWN = 5
_HASH_BITS = (1 << 64) - 1


@dataclass(slots=True)
class Findings:
    """What is wrong with the content of a sound structure."""

    documents: list[int] = field(default_factory=list)
    """Labels of documents that do not fit their digests."""
    orphans: int = 0
    """Texts of no document."""
    words: str = ""
    """Why the full text index cannot be used, "" where it can."""
    has_wrong_fields: bool = False
    has_wrong_count: bool = False

    def described(self) -> list[str]:
        """A line for each thing that is wrong."""
        lines = []
        if self.documents:
            lines.append(f"{len(self.documents)} documents differ from what was written")
        if self.orphans:
            lines.append(f"{self.orphans} texts belong to no document")
        if self.words:
            lines.append(f"the full text index is damaged ({self.words})")
        if self.has_wrong_fields:
            lines.append("the filters' rows do not fit the metadata")
        if self.has_wrong_count:
            lines.append("the number of documents is not the one noted")
        return lines


def structure_problems(connection: sqlite3.Connection) -> list[str]:
    """What SQLite finds wrong with the file, at most five lines; none when all is well."""
    try:
        rows = connection.execute(f"PRAGMA integrity_check({_SHOWN})").fetchall()
    except DATABASE_ERRORS as exc:
        return [str(exc)]
    return [str(line) for (line,) in rows if line != "ok"]


def inspect_content(connection: sqlite3.Connection) -> Findings:
    """Check every document and all that is derived from it, within a write transaction.

    Raises sqlite3.Error where the structure is not sound after all.
    """
    findings = Findings(documents=damaged_labels(connection))
    findings.orphans = _number(
        connection, "SELECT count(*) FROM texts WHERE label NOT IN (SELECT label FROM documents)"
    )
    findings.words = _words_problem(connection)
    findings.has_wrong_fields = _fields_seal(connection) != _expected_fields_seal(connection)
    counted = _number(connection, "SELECT count(*) FROM documents")
    findings.has_wrong_count = counted != _number(
        connection, "SELECT value FROM meta WHERE name = 'count'"
    )
    return findings


def _words_problem(connection: sqlite3.Connection) -> str:
    try:
        # With rank 1 it also reads every text again and compares.
        connection.execute("INSERT INTO words(words, rank) VALUES ('integrity-check', 1)")
    except DATABASE_ERRORS as exc:
        if not is_damage(exc):
            raise
        return str(exc)
    return ""


def _fields_seal(connection: sqlite3.Connection) -> int:
    return _seal_of(
        connection.execute(
            "SELECT p.name, f.kind, f.value, f.label FROM fields f"
            " LEFT JOIN paths p ON p.path = f.path WHERE f.label IN (SELECT label FROM documents)"
        )
    )


def _expected_fields_seal(connection: sqlite3.Connection) -> int:
    return _seal_of(_expected_fields(connection))


def _expected_fields(connection: sqlite3.Connection) -> Iterator[tuple[object, ...]]:
    for label, metadata in connection.execute(
        "SELECT label, CAST(metadata AS BLOB) FROM documents"
    ):
        for path, kind, value in stored_fields(metadata):
            yield path, kind, value, label


def _seal_of(rows: Iterable[tuple[object, ...]]) -> int:
    """A sum of hashes: equal for equal sets of rows, whatever their order."""
    return sum(hash(row) for row in rows) & _HASH_BITS


def _number(connection: sqlite3.Connection, sql: str) -> int:
    row = connection.execute(sql).fetchone()
    return int(row[0]) if row and isinstance(row[0], int) else -1
