"""The nearest vectors of a view: by exact search, or from what the graph answered.

The graph only proposes. What it names is looked up in the view and scored again from the vectors
themselves, so a document that is gone never comes back and every score is exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emberd.index.search.exact import Ranked, search_mask
from emberd.index.store.view import View

__all__ = ["Proposal", "rank_exactly", "rank_proposals"]

Proposal = NDArray[np.uint64]
"""(q, k') labels from the graph, 0 where there was none."""


def rank_exactly(
    view: View, queries: NDArray[np.float32], k: int, mask: NDArray[np.bool] | None
) -> list[Ranked]:
    """The k best of the rows in `mask` (all that are alive without one)."""
    return search_mask(view, queries, k, view.alive if mask is None else mask)


def rank_proposals(
    view: View,
    queries: NDArray[np.float32],
    k: int,
    mask: NDArray[np.bool] | None,
    *,
    proposed: Proposal,
    first_pending: int,
) -> list[Ranked]:
    """The k best of what the graph proposed and of the rows that it does not have.

    Those start at `first_pending`. Where too few proposals are any good, the search is exact.
    """
    wanted = view.alive if mask is None else mask
    pending = search_mask(view, queries, k, wanted, first_pending)
    enough = min(k, int(np.count_nonzero(wanted[:first_pending])))
    ranked = []
    for query, labels, newer in zip(queries, proposed, pending, strict=True):
        rows, found = view.rows_of(labels)
        rows = np.unique(rows[found & wanted[rows] & (rows < first_pending)])
        if len(rows) < enough:
            ranked += search_mask(view, query[None, :], k, wanted)
        else:
            ranked.append(_best(view, query, k, rows, newer))
    return ranked


def cosines(view: View, query: NDArray[np.float32], rows: NDArray[np.intp]) -> NDArray[np.float32]:
    """The scores of some rows, from the vectors as they are kept."""
    scores: NDArray[np.float32] = view.vectors[rows].astype(np.float32, copy=False) @ query
    return scores


def _best(
    view: View, query: NDArray[np.float32], k: int, rows: NDArray[np.intp], newer: Ranked
) -> Ranked:
    rows = np.concatenate([rows, newer.rows])
    scores = np.concatenate(
        [cosines(view, query, rows[: len(rows) - len(newer.rows)]), newer.scores]
    )
    order = np.lexsort((rows, -scores))[:k]
    return Ranked(rows[order], scores[order])
