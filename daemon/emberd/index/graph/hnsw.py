"""The graph itself: the one module that knows hnswlib.

Nothing here runs at the same time as anything else on the same graph; hnswlib's own threads end
with each call.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import hnswlib
import numpy as np
from numpy.typing import NDArray

__all__ = ["BrokenGraphError", "HnswGraph"]

_SMALLEST = 1_024
# hnswlib's words for a query that reached fewer than k vectors.
_TOO_FEW = "contiguous 2D array"


class BrokenGraphError(Exception):
    """The graph cannot be trusted any more; its process must end."""


class HnswGraph:
    """A graph over slots 0, 1, 2 ... by inner product; its vectors are L2-normalised.

    hnswlib's RuntimeError passes through: out of memory, out of threads.
    """

    def __init__(self, dim: int, m: int, ef_construction: int, threads: int) -> None:
        self._threads = threads
        self._index = hnswlib.Index("ip", dim)
        self._index.init_index(_SMALLEST, M=m, ef_construction=ef_construction)

    @classmethod
    def load(cls, file: Path, dim: int, count: int, threads: int) -> HnswGraph:
        """The graph in a file that was verified: hnswlib may crash on any other.

        Room for as many again is asked for at once; what is not used costs no memory.
        """
        graph = cls.__new__(cls)
        graph._threads = threads
        graph._index = hnswlib.Index("ip", dim)
        graph._index.load_index(str(file), max_elements=max(_SMALLEST, 2 * count))
        return graph

    @property
    def count(self) -> int:
        """Vectors, deleted ones included."""
        return int(self._index.element_count)

    @property
    def capacity(self) -> int:
        return int(self._index.max_elements)

    @property
    def m(self) -> int:
        return int(self._index.M)

    @property
    def ef_construction(self) -> int:
        return int(self._index.ef_construction)

    def add(self, vectors: NDArray[np.float32]) -> None:
        """Put `(n, dim)` vectors into the next slots; room doubles as needed.

        Raises RuntimeError with the graph as it was, or BrokenGraphError.
        """
        start, end = self.count, self.count + len(vectors)
        if end > self.capacity:
            self._index.resize_index(max(end, 2 * self.capacity))
        slots = np.arange(start, end, dtype=np.uint64)
        try:
            self._index.add_items(vectors, slots, num_threads=self._threads)
        except Exception as exc:
            # A vector may be linked by half: a walk over it could crash later.
            raise BrokenGraphError(f"hnswlib failed while it added vectors: {exc}.") from exc

    def delete(self, slots: Iterable[int]) -> None:
        """Mark slots that are not deleted yet; walks still pass through them."""
        for slot in slots:
            self._index.mark_deleted(slot)

    def walk(
        self, queries: NDArray[np.float32], k: int, ef: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]] | None:
        """`(slots (q, k), scores (q, k))`, best first; None where a query reached fewer than k."""
        self._index.set_ef(ef)  # a saved graph does not remember it
        try:
            slots, distances = self._index.knn_query(queries, k, num_threads=self._threads)
        except RuntimeError as exc:
            if _TOO_FEW in str(exc):
                return None
            raise
        return slots.astype(np.int64), 1.0 - distances

    def save(self, file: Path) -> int:
        """Write the graph; returns the bytes that it should have: hnswlib reports no error."""
        self._index.save_index(str(file))
        return int(self._index.index_file_size())
