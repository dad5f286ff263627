"""The row of a vector on disk: `crc32 | 0 | label | vector`, its length a multiple of 8 bytes.

The crc covers label and vector. Rows lie in the order of their labels.
"""

from __future__ import annotations

import zlib
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["RowLayout", "Rows"]

Rows = NDArray[np.void]
"""(n,) records with the fields `crc`, `label` and `vector` (dim,)."""

_CRC_AT, _LABEL_AT, _VECTOR_AT = 0, 8, 16
_NUMBERS: dict[str, type[np.floating[Any]]] = {"f32": np.float32, "f16": np.float16}


class RowLayout:
    """How the rows of one collection look."""

    def __init__(self, dim: int, dtype: Literal["f32", "f16"]) -> None:
        self.dim = dim
        self.number = np.dtype(_NUMBERS[dtype]).newbyteorder("<")
        self.covered_bytes = _VECTOR_AT - _LABEL_AT + dim * self.number.itemsize
        self.row_bytes = -(-(_VECTOR_AT + dim * self.number.itemsize) // 8) * 8
        self.record = np.dtype(
            {
                "names": ["crc", "label", "vector"],
                "formats": ["<u4", "<u8", (self.number, (dim,))],
                "offsets": [_CRC_AT, _LABEL_AT, _VECTOR_AT],
                "itemsize": self.row_bytes,
            }
        )

    def rows_of(self, labels: NDArray[np.uint64], vectors: NDArray[np.float32]) -> Rows:
        """Finished rows for vectors of shape (n, dim)."""
        rows = np.zeros(len(labels), self.record)
        rows["label"] = labels
        rows["vector"] = vectors
        rows["crc"] = self.crcs_of(rows)
        return rows

    def crcs_of(self, rows: Rows) -> NDArray[np.uint32]:
        """The crc that each row should have; rows lie one behind the other in memory."""
        data = rows.view(np.uint8).reshape(-1).data
        size = self.covered_bytes
        crcs = [
            zlib.crc32(data[start : start + size])
            for start in range(_LABEL_AT, len(data), self.row_bytes)
        ]
        return np.array(crcs, np.uint32)
