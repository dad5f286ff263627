"""Exact search: every candidate scored, the best kept."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

__all__ = ["best_of"]


def best_of(
    queries: NDArray[np.float32],
    k: int,
    blocks: Iterable[tuple[NDArray[np.int64], NDArray[np.float32]]],
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The `k` best of all blocks of `(slots (n,), vectors (n, dim))` for each query.

    Returns `(slots (q, k), scores (q, k))`, best first; the blocks hold `k` vectors or more.
    Memory is bounded by one block.
    """
    slots = np.empty((len(queries), 0), np.int64)
    scores = np.empty((len(queries), 0), np.float32)
    for block_slots, vectors in blocks:
        block_scores = queries @ vectors.T
        places = _best_places(block_scores, k)
        slots = np.concatenate([slots, block_slots[places]], axis=1)
        scores = np.concatenate([scores, np.take_along_axis(block_scores, places, 1)], axis=1)
        if slots.shape[1] > k:
            places = _best_places(scores, k)
            slots = np.take_along_axis(slots, places, 1)
            scores = np.take_along_axis(scores, places, 1)
    order = np.argsort(-scores, axis=1, kind="stable")
    return np.take_along_axis(slots, order, 1), np.take_along_axis(scores, order, 1)


def _best_places(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Columns of each row's `k` best scores, in no order; all of them where there are no more."""
    count = scores.shape[1]
    if count <= k:
        return np.broadcast_to(np.arange(count), scores.shape)
    return np.argpartition(scores, count - k, axis=1)[:, count - k :]
