"""When each row was last read: the visited bits of CLOCK and the times of a sliding TTL, in RAM.

Four bytes a row, in chunks that come with the first hit and go when the tail has passed. Readers
on several threads mark while one writer takes; a lost mark costs at most an early eviction.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable

__all__ = ["Touches"]

_CHUNK_BITS = 12
_CHUNK_ROWS = 1 << _CHUNK_BITS
_EMPTY = bytes(4 * _CHUNK_ROWS)


class Touches:
    """Row id to Unix second of the last hit; 0 for none since the row was last in turn."""

    def __init__(self) -> None:
        self._chunks: dict[int, array[int]] = {}

    def mark(self, rowids: Iterable[int], now: int) -> None:
        chunks = self._chunks
        for rowid in rowids:
            chunk = chunks.get(rowid >> _CHUNK_BITS)
            if chunk is None:
                chunk = chunks.setdefault(rowid >> _CHUNK_BITS, array("I", _EMPTY))
            chunk[rowid & (_CHUNK_ROWS - 1)] = now

    def last(self, rowid: int) -> int:
        chunk = self._chunks.get(rowid >> _CHUNK_BITS)
        return chunk[rowid & (_CHUNK_ROWS - 1)] if chunk is not None else 0

    def drop_below(self, rowid: int) -> None:
        """Forget the chunks whose rows all lie below `rowid`."""
        first = rowid >> _CHUNK_BITS
        for number in [number for number in self._chunks if number < first]:
            self._chunks.pop(number, None)

    def clear(self) -> None:
        self._chunks = {}
