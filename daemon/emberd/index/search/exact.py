"""Exact search: every vector against every query, a block of rows at a time.

Memory stays bounded whatever the size of the collection: a block of float32 rows, a block of
scores, and the best k so far. Ties go to the older document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberd.index.store.view import View

__all__ = ["Ranked", "search_mask", "search_rows"]

# 2,048 rows of 384 float32 are 3 MiB: a block that the conversion from f16 leaves in the cache.
_BLOCK_ROWS = 2_048
# Queries at a time: bounds a block of scores to 1 MiB.
_BLOCK_QUERIES = 128
# Multiplying an unwanted row costs less than copying the wanted ones until so few are wanted.
_GATHER_BELOW = 0.5


@dataclass(frozen=True, slots=True)
class Ranked:
    """One query's rows and their cosines, best first."""

    rows: NDArray[np.intp]
    scores: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Block:
    rows: NDArray[np.intp]
    vectors: NDArray[np.floating[Any]]
    unwanted: NDArray[np.bool] | None = None


def search_mask(
    view: View, queries: NDArray[np.float32], k: int, mask: NDArray[np.bool], first: int = 0
) -> list[Ranked]:
    """The k best rows for each query (q, dim) among those of `mask`, from row `first` on."""

    def blocks() -> Iterator[_Block]:
        for start in range(first, len(mask), _BLOCK_ROWS):
            wanted = mask[start : start + _BLOCK_ROWS]
            count = np.count_nonzero(wanted)
            if count < _GATHER_BELOW * len(wanted):
                rows = np.flatnonzero(wanted) + start
                yield _Block(rows, view.vectors[rows])
            else:
                stop = start + len(wanted)
                unwanted = None if count == len(wanted) else ~wanted
                yield _Block(np.arange(start, stop), view.vectors[start:stop], unwanted)

    return _search(blocks, queries, k)


def search_rows(
    view: View, queries: NDArray[np.float32], k: int, rows: NDArray[np.intp]
) -> list[Ranked]:
    """The k best for each query among the given rows, which are in order and alive."""

    def blocks() -> Iterator[_Block]:
        for start in range(0, len(rows), _BLOCK_ROWS):
            some = rows[start : start + _BLOCK_ROWS]
            yield _Block(some, view.vectors[some])

    return _search(blocks, queries, k)


def _search(
    blocks: Callable[[], Iterable[_Block]], queries: NDArray[np.float32], k: int
) -> list[Ranked]:
    found: list[Ranked] = []
    for start in range(0, len(queries), _BLOCK_QUERIES):
        best = _Best(queries[start : start + _BLOCK_QUERIES], k)
        for block in blocks():
            best.offer(block)
        found += best.ranked()
    return found


class _Best:
    """The k best of what was offered, for some queries at once."""

    def __init__(self, queries: NDArray[np.float32], k: int) -> None:
        self._queries = queries
        self._k = k
        self._worst = np.full(len(queries), -np.inf, np.float32)
        # Candidates of all queries in one list, ordered by query, then best first.
        self._query = np.empty(0, np.intp)
        self._rows = np.empty(0, np.intp)
        self._scores = np.empty(0, np.float32)

    def offer(self, block: _Block) -> None:
        if not len(block.rows):
            return
        scores = self._scores_of(block)
        passing = scores > self._worst[:, None]
        if len(block.rows) > self._k and not np.isfinite(self._worst).all():
            # No k candidates yet: all of a block would pass and be sorted.
            cut = np.partition(scores, -self._k, axis=1)[:, -self._k]
            passing &= scores >= cut[:, None]
        query, at = np.nonzero(passing)
        if len(query):
            self._keep(query, block.rows[at], scores[query, at])

    def ranked(self) -> list[Ranked]:
        edges = np.searchsorted(self._query, np.arange(len(self._queries) + 1))
        return [
            Ranked(self._rows[start:stop], self._scores[start:stop])
            for start, stop in pairwise(edges)
        ]

    def _scores_of(self, block: _Block) -> NDArray[np.float32]:
        # A damaged row holds anything; what comes of it is masked.
        with np.errstate(all="ignore"):
            vectors = block.vectors.astype(np.float32, copy=False)
            scores: NDArray[np.float32] = (vectors @ self._queries.T).T
        if block.unwanted is not None:
            scores[:, block.unwanted] = -np.inf
        return scores

    def _keep(
        self, query: NDArray[np.intp], rows: NDArray[np.intp], scores: NDArray[np.float32]
    ) -> None:
        query = np.concatenate([self._query, query])
        rows = np.concatenate([self._rows, rows])
        scores = np.concatenate([self._scores, scores])
        order = np.lexsort((rows, -scores, query))
        place = np.arange(len(order)) - np.searchsorted(query[order], query[order])
        order = order[place < self._k]
        self._query, self._rows, self._scores = query[order], rows[order], scores[order]
        ends = np.searchsorted(self._query, np.arange(len(self._queries)), side="right")
        counts = np.bincount(self._query, minlength=len(self._queries))
        is_full = counts == self._k
        self._worst[is_full] = self._scores[ends[is_full] - 1]
