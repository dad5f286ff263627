"""A document as its rows have it, and the digest that seals it.

SQLite has no checksums over its pages: a flipped bit in a text would go unnoticed without one.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from emberd.index.metadata import decode_metadata

__all__ = ["DamagedDocumentsError", "Record", "damaged_labels", "digest_of", "read_records"]

_CHUNK = 4_096
_HEAD = struct.Struct("<QIqqq")
# As bytes: what a flipped bit made of a text need not be one.
_COLUMNS = (
    "SELECT d.label, CAST(d.id AS BLOB), CAST(d.metadata AS BLOB), CAST(t.text AS BLOB),"
    " d.vector_crc, d.digest FROM documents d LEFT JOIN texts t ON t.label = d.label"
)
_AMONG = f"{_COLUMNS} WHERE d.label IN (SELECT value FROM json_each(?))"  # noqa: S608
_BETWEEN = f"{_COLUMNS.replace(' FROM', ', d.created FROM')} WHERE d.label BETWEEN ? AND ?"


class DamagedDocumentsError(Exception):
    """Stored documents do not fit their digests; `labels` are theirs."""

    def __init__(self, labels: list[int]) -> None:
        super().__init__(f"{len(labels)} damaged documents")
        self.labels = labels


class Record(msgspec.Struct, frozen=True, gc=False):
    """A document that fits its digest."""

    label: int
    id: str
    text: str | None
    metadata_json: bytes
    vector_crc: int

    def metadata(self) -> dict[str, Any]:
        return decode_metadata(self.metadata_json)


def digest_of(
    label: int, doc_id: bytes, text: bytes | None, metadata: bytes, vector_crc: int
) -> bytes:
    """blake2b-128 over everything that a document is; the lengths make the framing injective.

    Raises struct.error for numbers that no document has.
    """
    text_size = -1 if text is None else len(text)
    head = _HEAD.pack(label, vector_crc, len(doc_id), len(metadata), text_size)
    whole = b"".join((head, doc_id, metadata, text or b""))
    return blake2b(whole, digest_size=16, person=b"emberd document").digest()


def read_records(connection: sqlite3.Connection, labels: Sequence[int]) -> dict[int, Record]:
    """The documents by label, of those that there are.

    Raises DamagedDocumentsError where some do not fit, sqlite3.Error where the file is damaged.
    """
    found: dict[int, Record] = {}
    damaged: list[int] = []
    for start in range(0, len(labels), _CHUNK):
        chunk = msgspec.json.encode(labels[start : start + _CHUNK]).decode()
        for row in connection.execute(_AMONG, (chunk,)):
            record = _record(row)
            if record is None:
                damaged.append(row[0])
            else:
                found[record.label] = record
    if damaged:
        raise DamagedDocumentsError(damaged)
    return found


def damaged_labels(connection: sqlite3.Connection) -> list[int]:
    """Labels of all documents that do not fit their digests."""
    return [row[0] for row in connection.execute(_COLUMNS) if _record(row) is None]


def sound_records(
    connection: sqlite3.Connection, first: int, last: int
) -> list[tuple[Record, bytes, float]]:
    """Documents between two labels with their digest and time, without those that do not fit.

    Raises sqlite3.Error where a page cannot be read.
    """
    return [
        (record, row[5], row[6] if isinstance(row[6], float) else 0.0)
        for row in connection.execute(_BETWEEN, (first, last))
        if (record := _record(row[:6])) is not None
    ]


def _record(row: tuple[Any, ...]) -> Record | None:
    label, doc_id, metadata, text, vector_crc, digest = row
    try:
        if digest != digest_of(label, doc_id, text, metadata, vector_crc):
            return None
        if text is not None:
            text = text.decode()
        return Record(label, doc_id.decode(), text, metadata, vector_crc)
    except (AttributeError, TypeError, ValueError, struct.error):
        return None  # a column of another type than was written, a number out of its range
