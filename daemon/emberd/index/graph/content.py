"""A graph with its books and its vectors: what the graph's process holds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from emberd.index.graph.hnsw import HnswGraph
from emberd.index.graph.plan import plan_search
from emberd.index.graph.scan import best_of
from emberd.index.graph.shelf import VectorShelf
from emberd.index.graph.slots import Labels, Slots

__all__ = ["GraphContent"]

Vectors = NDArray[np.float32]
Found = tuple[NDArray[np.int64], NDArray[np.float32]]

_BLOCK_ROWS = 8_192


class GraphContent:
    """Everything by label. One thread uses it."""

    def __init__(self, graph: HnswGraph, slots: Slots, shelf: VectorShelf, threads: int) -> None:
        self.graph = graph
        self.slots = slots
        self.shelf = shelf
        self._threads = threads

    def add(self, labels: Labels, vectors: Vectors) -> int:
        """Add what is new of these labels (each once); returns how many were. See HnswGraph."""
        is_new = self.slots.is_new(labels)
        if not is_new.all():
            labels, vectors = labels[is_new], vectors[is_new]
        if len(labels):
            self.graph.add(vectors)
            self.shelf.append(vectors)
            self.slots.append(labels)
        return len(labels)

    def delete(self, labels: Labels) -> int:
        """Mark labels as deleted for good; returns how many were live."""
        slots = self.slots.delete(labels)
        self.graph.delete(slots.tolist())
        return len(slots)

    def reconcile(self, live: Labels) -> tuple[Labels, Labels]:
        """Delete what is not in `live`; returns what of it is not here, and what was deleted.

        Both ascend."""
        unwanted, missing = self.slots.strangers(live)
        self.delete(unwanted)
        return missing, unwanted

    def search(
        self, queries: Vectors, k: int, ef: int | None, allowed: Labels | None
    ) -> tuple[Labels, Vectors]:
        """`(labels (q, k'), scores (q, k'))`, best first; k' is k, or the number of live vectors
        that may be returned where that is less."""
        slots = None if allowed is None else self.slots.live_slots(allowed)
        candidates = self.slots.live if slots is None else len(slots)
        k = min(k, candidates)
        if not k or not len(queries):
            return np.empty((len(queries), k), np.uint64), np.empty((len(queries), k), np.float32)
        found, scores = self._find(queries, k, ef, slots)
        return self.slots.labels[found], scores

    def _find(
        self, queries: Vectors, k: int, ef: int | None, allowed: NDArray[np.int64] | None
    ) -> Found:
        plan = plan_search(
            queries=len(queries),
            k=k,
            ef=ef,
            live=self.slots.live,
            allowed=None if allowed is None else len(allowed),
            threads=self._threads,
        )
        walked = None if plan.is_exact else self.graph.walk(queries, plan.fetch, plan.ef)
        if walked is None:  # or parts of the graph cannot be reached
            return best_of(queries, k, self._blocks(allowed))
        if allowed is None:
            return walked
        return self._passing(queries, k, allowed, walked)

    def _passing(
        self, queries: Vectors, k: int, allowed: NDArray[np.int64], walked: Found
    ) -> Found:
        """The first `k` of each row that are allowed; rows with fewer are scored exactly."""
        is_allowed = np.zeros(self.slots.count, np.bool)
        is_allowed[allowed] = True
        passes = is_allowed[walked[0]]
        passes &= passes.cumsum(axis=1) <= k
        is_full = passes.sum(axis=1) == k
        slots = np.empty((len(queries), k), np.int64)
        scores = np.empty((len(queries), k), np.float32)
        chosen = passes[is_full]
        slots[is_full] = walked[0][is_full][chosen].reshape(-1, k)
        scores[is_full] = walked[1][is_full][chosen].reshape(-1, k)
        if not is_full.all():
            short = ~is_full
            slots[short], scores[short] = best_of(queries[short], k, self._blocks(allowed))
        return slots, scores

    def _blocks(
        self, slots: NDArray[np.int64] | None
    ) -> Iterator[tuple[NDArray[np.int64], Vectors]]:
        if slots is None:
            slots = np.flatnonzero(self.slots.is_live)
        for start in range(0, len(slots), _BLOCK_ROWS):
            block = slots[start : start + _BLOCK_ROWS]
            yield block, self.shelf.gather(block)
