"""The recall probe: stored vectors are asked for, of the graph and exactly, and compared."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emberd.index.graph.plan import default_ef
from emberd.index.search.exact import search_mask
from emberd.index.store.view import View

__all__ = ["PROBE_K", "ProbeSample", "next_ef", "recall_of", "take_sample"]

PROBE_K = 10
_QUERIES = 32
_WANTED = 0.97
_LARGEST_EF = 768


class ProbeSample:
    """Queries (q, dim), the labels they are, and for each the labels of its true neighbours."""

    def __init__(self, view: View, applied: int, seed: int) -> None:
        known = view.alive[: view.after(applied)]
        rows = np.flatnonzero(known)
        chosen = np.random.default_rng(seed).choice(rows, min(_QUERIES, len(rows)), replace=False)
        self.queries: NDArray[np.float32] = view.vectors[chosen].astype(np.float32)
        self.own = view.labels[chosen]
        ranked = search_mask(view, self.queries, PROBE_K + 1, known)
        self.true = [view.labels[each.rows] for each in ranked]


def take_sample(view: View, applied: int) -> ProbeSample:
    """A sample of what the graph has; takes as long as an exact search of 32 queries."""
    return ProbeSample(view, applied, seed=view.version)


def recall_of(sample: ProbeSample, found: NDArray[np.uint64]) -> float:
    """recall@10 of the graph's answer (q, >= 11), the queries themselves left out."""
    hits = total = 0
    for own, true, labels in zip(sample.own, sample.true, found, strict=True):
        wanted = true[true != own][:PROBE_K]
        hits += int(np.isin(wanted, labels[: PROBE_K + 1]).sum())
        total += len(wanted)
    return hits / total if total else 1.0


def next_ef(ef: int | None, recall: float) -> int | None:
    """What to search with from now on: more where too little is found, never less."""
    if recall >= _WANTED or (ef or 0) >= _LARGEST_EF:
        return ef
    return min(_LARGEST_EF, (ef or default_ef(PROBE_K)) * 3 // 2)
