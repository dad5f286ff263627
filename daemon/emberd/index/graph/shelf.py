"""The vectors beside the graph, for exact scores, at hardly any memory of their own.

They are read from the newest checkpoint; only those that were added since are held here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emberd.index.graph.layout import MappedVectors

__all__ = ["VectorShelf"]

Vectors = NDArray[np.float32]

_BLOCK_ROWS = 1_024


class VectorShelf:
    """Every vector of a graph by its slot."""

    def __init__(self, dim: int, mapped: MappedVectors | None = None) -> None:
        self._dim = dim
        self._mapped = mapped
        self._base = mapped.count if mapped else 0
        self._blocks: list[Vectors] = []
        self._held = 0

    def append(self, vectors: Vectors) -> None:
        """The vectors of the next slots."""
        done = 0
        while done < len(vectors):
            place = self._held % _BLOCK_ROWS
            if place == 0:
                self._blocks.append(np.empty((_BLOCK_ROWS, self._dim), np.float32))
            rows = min(_BLOCK_ROWS - place, len(vectors) - done)
            self._blocks[-1][place : place + rows] = vectors[done : done + rows]
            self._held += rows
            done += rows

    def rebase(self, mapped: MappedVectors) -> None:
        """Let go of the vectors that a newer file holds."""
        newer = np.arange(mapped.count, self._base + self._held)
        kept = self.gather(newer)
        self._mapped, self._base, self._blocks, self._held = mapped, mapped.count, [], 0
        self.append(kept)

    def gather(self, slots: NDArray[np.int64]) -> Vectors:
        """`(n, dim)` copies of the vectors in `slots`, which ascend."""
        split = int(np.searchsorted(slots, self._base))
        if self._mapped is not None and split == len(slots):
            return self._mapped.gather(slots)
        found = np.empty((len(slots), self._dim), np.float32)
        if self._mapped is not None:
            found[:split] = self._mapped.gather(slots[:split])
        held = slots[split:] - self._base
        edges = np.searchsorted(held, np.arange(len(self._blocks) + 1) * _BLOCK_ROWS)
        for index, block in enumerate(self._blocks):
            start, end = edges[index], edges[index + 1]
            if start < end:
                found[split + start : split + end] = block[held[start:end] - index * _BLOCK_ROWS]
        return found
