"""Putting a database right whose structure is sound: runs inside one of the writer's transactions.

What is derived is made anew from what it is derived from. A document that differs from what was
written is taken out and kept in a file beside the database: it must not answer for itself.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import msgspec

from emberd.index.metadata import stored_fields
from emberd.index.store.inspection import Findings
from emberd.index.store.schema import DATABASE_ERRORS, create_words
from emberd.index.store.transaction import Transaction

__all__ = ["DAMAGED_FILE", "mend_content"]

DAMAGED_FILE = "damaged-documents.jsonl"

_EXPELLED = (
    "SELECT d.label, CAST(d.id AS BLOB), CAST(d.metadata AS BLOB), CAST(t.text AS BLOB)"
    " FROM documents d LEFT JOIN texts t ON t.label = d.label"
    " WHERE d.label IN (SELECT value FROM json_each(?))"
)
_EXPEL = (
    "DELETE FROM texts WHERE label IN (SELECT value FROM json_each(?))",
    "DELETE FROM documents WHERE label IN (SELECT value FROM json_each(?))",
    "DELETE FROM fields WHERE label IN (SELECT value FROM json_each(?))",
)
_CHUNK = 1_024


def mend_content(transaction: Transaction, findings: Findings, folder: Path) -> list[str]:
    """Put right what was found; returns what was done, a line each."""
    done = []
    if findings.documents:
        _expel(transaction, findings.documents, folder)
        done.append(
            f"{len(findings.documents)} damaged documents were taken out and kept in "
            f"{DAMAGED_FILE}: index them again"
        )
    connection = transaction.connection
    if findings.orphans:
        connection.execute("DELETE FROM texts WHERE label NOT IN (SELECT label FROM documents)")
        done.append("texts of no document were deleted")
    if findings.words or findings.documents or findings.orphans:
        rebuild_words(connection)
        done.append("the full text index was built anew")
    if findings.has_wrong_fields or findings.documents:
        _rebuild_fields(transaction)
        done.append("the filters' rows were built anew")
    if findings.has_wrong_count:
        (counted,) = connection.execute("SELECT count(*) FROM documents").fetchone()
        transaction.count = counted - transaction.view.count
        done.append("the documents were counted again")
    transaction.is_changed |= bool(done)
    return done


def rebuild_words(connection: sqlite3.Connection) -> None:
    """The full text index from the texts, whatever state it is in."""
    try:
        connection.execute("INSERT INTO words(words) VALUES ('rebuild')")
    except DATABASE_ERRORS:
        # Too damaged to be asked: its tables go, and new ones come.
        connection.execute("DROP TABLE IF EXISTS vocabulary")
        connection.execute("DROP TABLE IF EXISTS words")
        create_words(connection)
        connection.execute("INSERT INTO words(words) VALUES ('rebuild')")


def _expel(transaction: Transaction, labels: list[int], folder: Path) -> None:
    connection = transaction.connection
    among = (msgspec.json.encode(labels).decode(),)
    with (folder / DAMAGED_FILE).open("ab") as stream:
        stream.writelines(_line(row) for row in connection.execute(_EXPELLED, among))
    for statement in _EXPEL:
        connection.execute(statement, among)
    transaction.deleted += labels
    transaction.count -= len(labels)


def _line(row: tuple[Any, ...]) -> bytes:
    label, *parts = row
    doc_id, metadata, text = (
        part.decode(errors="replace") if isinstance(part, bytes) else part for part in parts
    )
    return (
        msgspec.json.encode({"label": label, "id": doc_id, "metadata": metadata, "text": text})
        + b"\n"
    )


def _rebuild_fields(transaction: Transaction) -> None:
    connection = transaction.connection
    connection.execute("DELETE FROM fields")
    connection.execute("DELETE FROM paths")
    transaction.paths.clear()
    rows = connection.execute("SELECT label, CAST(metadata AS BLOB) FROM documents")
    while chunk := rows.fetchmany(_CHUNK):
        transaction.insert_fields((label, stored_fields(metadata)) for label, metadata in chunk)
