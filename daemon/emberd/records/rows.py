"""Rows of the `vectors` table: a 28-byte header, then the value.

The header has crc32 (of all that follows it), key, creation time, namespace tag and text length.
It is as small as that because five rows of 384 f16 numbers then fill a 4 KiB page to the byte;
with a larger one a page would hold four.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple
from zlib import crc32

from emberd.records.keys import KEY_BYTES

__all__ = [
    "HEADER_BYTES",
    "ROWID_BYTES",
    "Record",
    "key_in",
    "make_record",
    "open_row",
    "read_record",
    "rowid_bytes",
    "rowid_of",
    "tag_of",
]

_CRC = Struct("<I")
_BODY = Struct("<16sIHH")
_HEADER = Struct("<I16sIHH")
_CRC_BYTES = _CRC.size

HEADER_BYTES = _HEADER.size
# 2 ** 48 rows: a thousand a second for nine thousand years.
ROWID_BYTES = 6

_LONGEST_TEXT = 0xFFFF


class Record(NamedTuple):
    key: bytes
    created: int
    """Unix seconds."""
    tag: int
    """Of the namespace."""
    text_length: int
    """UTF-8 bytes, 65,535 for that or more, 0 when unknown."""
    value: bytes


def make_record(key: bytes, created: float, tag: int, value: bytes, text_length: int = 0) -> bytes:
    """The row for a value. `key` is 16 bytes."""
    length = min(text_length, _LONGEST_TEXT)
    body = _BODY.pack(key, int(created), tag, length) + value
    return _CRC.pack(crc32(body)) + body


def read_record(row: bytes | memoryview) -> Record | None:
    """The row's parts, or None where the checksum says that these are not the bytes written."""
    if len(row) < HEADER_BYTES:
        return None
    crc, key, created, tag, text_length = _HEADER.unpack_from(row)
    if crc32(row[_CRC_BYTES:]) != crc:
        return None
    return Record(key, created, tag, text_length, bytes(row[HEADER_BYTES:]))


def open_row(row: memoryview, key: bytes, tag: int) -> tuple[int, bytes] | None:
    """Creation time and value, or None where this is not, to the last bit, a row of that key."""
    if len(row) < HEADER_BYTES:
        return None
    crc, found_key, created, found_tag, _ = _HEADER.unpack_from(row)
    if found_key != key or found_tag != tag or crc32(row[_CRC_BYTES:]) != crc:
        return None
    return created, bytes(row[HEADER_BYTES:])


def key_in(row: bytes) -> bytes:
    """The key that a row claims, unchecked; 16 zero bytes where it is too short for one."""
    return row[_CRC_BYTES : _CRC_BYTES + KEY_BYTES].ljust(KEY_BYTES, b"\0")


def rowid_bytes(rowid: int) -> bytes:
    """Big-endian, so that the table's order is the order of writing."""
    return rowid.to_bytes(ROWID_BYTES, "big")


def rowid_of(stored: bytes | memoryview) -> int:
    return int.from_bytes(stored, "big")


def tag_of(namespace: str) -> int:
    """16 bits of the namespace's name: a row that turns up in another's table is not believed."""
    return crc32(namespace.encode(errors="surrogateescape")) & 0xFFFF
