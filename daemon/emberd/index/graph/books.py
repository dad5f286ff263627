"""The books of a checkpoint: each slot's label, record in the graph's file, and mark."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emberd.index.graph.slots import Slots

__all__ = ["BooksError", "pack_books", "unpack_books"]


class BooksError(ValueError):
    """These bytes are no books of so many slots."""


def pack_books(slots: Slots, rows: NDArray[np.uint32]) -> bytes:
    """Labels (uint64), records (uint32) and marks (a bit each, 1 for live), little-endian."""
    return b"".join(
        [
            slots.labels.astype("<u8").tobytes(),
            rows.astype("<u4").tobytes(),
            np.packbits(slots.is_live).tobytes(),
        ]
    )


def unpack_books(data: bytes, count: int) -> tuple[Slots, NDArray[np.uint32]]:
    """What `pack_books` was given. Raises BooksError."""
    if len(data) != 12 * count + (count + 7) // 8:
        raise BooksError(f"the books are not those of {count} vectors")
    labels = np.frombuffer(data, "<u8", count).astype(np.uint64)
    rows = np.frombuffer(data, "<u4", count, 8 * count).astype(np.uint32)
    marks = np.unpackbits(np.frombuffer(data, np.uint8, offset=12 * count), count=count)
    ordered = np.sort(labels)
    if (ordered[1:] == ordered[:-1]).any() or (rows >= count).any():
        raise BooksError("the books name a label twice, or a record that there is not")
    return Slots.of(labels, marks.astype(np.bool)), rows
