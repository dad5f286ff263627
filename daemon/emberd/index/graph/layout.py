"""How hnswlib lays out a saved graph, and the vectors read from it where they lie.

hnswlib itself gives its vectors back only as Python floats: 11 us a vector.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["FileLayout", "LayoutError", "MappedVectors", "rows_of_slots"]

Vectors = NDArray[np.float32]

# hnswlib's saveIndex (0.8.0) writes: offsetLevel0, max_elements, cur_element_count,
# size_data_per_element, label_offset, offsetData, maxlevel, enterpoint_node, maxM, maxM0, M, mult,
# ef_construction; then a record for each element: links, vector, label; then the upper levels.
_HEADER = struct.Struct("=QQQQQQiIQQQdQ")
_COUNT_BYTES, _LINK_BYTES, _LABEL_BYTES = 4, 4, 8


class LayoutError(ValueError):
    """The file is not laid out as hnswlib 0.8 does it for these vectors."""


@dataclass(frozen=True, slots=True)
class FileLayout:
    """Where a saved graph keeps its vectors and labels."""

    count: int
    record_bytes: int
    vector_offset: int
    label_offset: int

    @classmethod
    def read(cls, file: Path, dim: int) -> FileLayout:
        """Raises LayoutError, OSError."""
        with file.open("rb") as source:
            header = source.read(_HEADER.size)
            size = source.seek(0, 2)
        if len(header) < _HEADER.size:
            raise LayoutError("it is shorter than its header")
        _, room, count, record, label, vector, _, _, _, links, *_ = _HEADER.unpack(header)
        expected_vector = _COUNT_BYTES + links * _LINK_BYTES
        expected_label = expected_vector + 4 * dim
        if (vector, label, record) != (
            expected_vector,
            expected_label,
            expected_label + _LABEL_BYTES,
        ):
            raise LayoutError(f"its records are not those of {dim} dimensions")
        if count > room or _HEADER.size + count * record > size:
            raise LayoutError(f"it is too short for its {count} vectors")
        return cls(count, record, _HEADER.size + vector, _HEADER.size + label)


class MappedVectors:
    """The vectors of a saved graph, read where they lie. The file may be removed meanwhile."""

    def __init__(self, file: Path, layout: FileLayout, dim: int, rows: NDArray[np.uint32]) -> None:
        """`rows (count,)`: which record of the file holds each slot."""
        with file.open("rb") as source:
            content = mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ)
        self.count = layout.count
        self._rows = rows
        self._vectors: Vectors = np.ndarray(
            (layout.count, dim),
            np.float32,
            content,
            layout.vector_offset,
            (layout.record_bytes, 4),
        )

    def gather(self, slots: NDArray[np.int64]) -> Vectors:
        """`(n, dim)` copies of the vectors in `slots`."""
        return self._vectors[self._rows[slots]]


def rows_of_slots(file: Path, layout: FileLayout) -> NDArray[np.uint32]:
    """Which record holds each slot: threads that add at once mix them up.

    Raises LayoutError where the file's labels are not the slots 0, 1, 2 ...
    """
    if not layout.count:
        return np.empty(0, np.uint32)
    with file.open("rb") as source:
        content = mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ)
    slots: NDArray[np.uint64] = np.ndarray(
        (layout.count,), np.uint64, content, layout.label_offset, (layout.record_bytes,)
    )
    rows = np.argsort(slots).astype(np.uint32)
    if not np.array_equal(slots[rows], np.arange(layout.count, dtype=np.uint64)):
        raise LayoutError("its labels are not the slots that were saved")
    return rows
