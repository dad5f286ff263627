"""The nearest vectors of a view: by exact search, or from what the graph answered.

The graph only proposes. What it names is looked up in the view, so a document that is gone never
comes back, and where it names too few the search is exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emberd.index.search.exact import Ranked, search_mask
from emberd.index.store.view import View

__all__ = ["Proposal", "rank_exactly", "rank_proposals", "take_ranking"]

Proposal = tuple[NDArray[np.uint64], NDArray[np.float32]]
"""(q, k') labels and cosines from the graph, label 0 where there was none."""


def rank_exactly(
    view: View, queries: NDArray[np.float32], k: int, mask: NDArray[np.bool] | None
) -> list[Ranked]:
    """The k best of the rows in `mask` (all that are alive without one)."""
    return search_mask(view, queries, k, view.alive if mask is None else mask)


def take_ranking(view: View, k: int, proposed: Proposal) -> list[Ranked] | None:
    """What the graph proposed of all documents, where nothing is left to do: k or all of them,
    alive, best first, none twice, and no two as good as each other, whose order would be open."""
    labels, scores = proposed
    if labels.shape[1] < min(k, view.live) or (scores[:, 1:] >= scores[:, :-1]).any():
        return None
    rows, is_good = _looked_up(view, labels)
    ordered = np.sort(rows, axis=1)
    if not is_good.all() or (ordered[:, 1:] == ordered[:, :-1]).any():
        return None
    return list(map(Ranked, rows[:, :k], scores[:, :k]))


def rank_proposals(
    view: View,
    queries: NDArray[np.float32],
    k: int,
    mask: NDArray[np.bool] | None,
    *,
    proposed: Proposal,
    first_pending: int,
    newest: View,
) -> list[Ranked]:
    """The k best of what the graph proposed and of the rows that it does not have.

    Those start at `first_pending`; others it has forgotten, since they are gone from `newest`, the
    version of when it had answered. Where too few proposals are any good, the search is exact.
    """
    wanted = view.alive if mask is None else mask
    beside = _lacking(view, first_pending, newest) & wanted
    known = wanted & ~beside
    enough = min(k, int(np.count_nonzero(known)))
    labels, scores = proposed
    rows, is_good = _looked_up(view, labels)
    is_good &= known[rows]
    scores = np.where(is_good, scores, np.float32(-np.inf))
    order = np.lexsort((rows, -scores), axis=-1)
    rows, scores = np.take_along_axis(rows, order, 1), np.take_along_axis(scores, order, 1)
    counts = np.count_nonzero(scores > -np.inf, axis=1)
    is_twice = ((rows[:, 1:] == rows[:, :-1]) & (scores[:, 1:] > -np.inf)).any(axis=1)
    ranked = [
        Ranked(each[:count], points[:count])
        for each, points, count in zip(rows, scores, np.minimum(counts, k).tolist(), strict=True)
    ]
    if beside.any():
        others = search_mask(view, queries, k, beside, int(np.argmax(beside)))
        ranked = [_merged(a, b, k) for a, b in zip(ranked, others, strict=True)]
    short = np.flatnonzero((counts < enough) | is_twice)
    if len(short):
        exact = search_mask(view, queries[short], k, wanted)
        for index, each in zip(short.tolist(), exact, strict=True):
            ranked[index] = each
    return ranked


def cosines(view: View, query: NDArray[np.float32], rows: NDArray[np.intp]) -> NDArray[np.float32]:
    """The scores of some rows, from the vectors as they are kept."""
    scores: NDArray[np.float32] = view.vectors[rows].astype(np.float32, copy=False) @ query
    return scores


def _lacking(view: View, first_pending: int, newest: View) -> NDArray[np.bool]:
    """(n,) rows that the graph may not have had when it answered."""
    lacking = np.zeros(len(view.labels), np.bool)
    if newest.version != view.version:
        lacking |= view.gone_from(newest)
    lacking[first_pending:] = True
    return lacking


def _looked_up(view: View, labels: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.bool]]:
    """The row of each label (q, k'), and whether there is one that is alive."""
    if not len(view.labels):
        return np.zeros(labels.shape, np.intp), np.zeros(labels.shape, np.bool)
    rows, found = view.rows_of(labels.reshape(-1))
    return rows.reshape(labels.shape), found.reshape(labels.shape)


def _merged(first: Ranked, second: Ranked, k: int) -> Ranked:
    rows = np.concatenate([first.rows, second.rows])
    scores = np.concatenate([first.scores, second.scores])
    order = np.lexsort((rows, -scores))[:k]
    return Ranked(rows[order], scores[order])
