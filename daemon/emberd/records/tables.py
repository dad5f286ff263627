"""What the tables of the cache's file are called, and the number of its format."""

from __future__ import annotations

__all__ = [
    "FORMAT",
    "FORMAT_KEY",
    "INDEX",
    "MAX_TABLES",
    "META_TABLE",
    "ROWS",
    "UnusableError",
    "table_names",
]

FORMAT = 1
FORMAT_KEY = b"format"
META_TABLE = b"meta"
INDEX, ROWS = "index:", "rows:"

_MAX_NAMESPACES = 256
MAX_TABLES = 2 * _MAX_NAMESPACES + 1


class UnusableError(Exception):
    """The file cannot be read in this process now; the message says why."""


def table_names(namespace: str) -> tuple[bytes, bytes]:
    """The tables of a namespace: key to row id, and row id to row."""
    name = namespace.encode(errors="surrogateescape")
    return INDEX.encode() + name, ROWS.encode() + name
