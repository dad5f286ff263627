"""From ranked rows to hits: both rankings fused, scores cut off, documents read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from emberd.index.documents import Hit
from emberd.index.search.exact import Ranked
from emberd.index.search.fusion import fuse
from emberd.index.search.planner import Plan
from emberd.index.search.ranking import cosines
from emberd.index.search.request import SearchRequest
from emberd.index.search.words import snippet_of, terms_of
from emberd.index.store.snapshot import Snapshot
from emberd.index.store.view import View

__all__ = ["ByWords", "make_bare_hits", "make_hits"]

ByWords = list[tuple[int, float]]
"""`(label, bm25)`, best first."""

_Plain = tuple[str, str | None, dict[str, Any] | None]
"""Id, text and metadata of a hit."""


class _Found(msgspec.Struct, gc=False):
    """A document on its way to a hit, and how it was found."""

    label: int
    row: int
    score: float
    cosine: float
    vector_rank: int | None = None
    word_rank: int | None = None
    bm25: float | None = None


def make_hits(
    snapshot: Snapshot,
    request: SearchRequest,
    plan: Plan,
    ranked: Sequence[Ranked],
    by_words: Sequence[ByWords] | None,
) -> list[list[Hit]]:
    """The hits of each query, best first.

    Raises DamagedDocumentsError, and sqlite3.Error where the database is damaged.
    """
    view = snapshot.view
    if by_words is None and not request.is_dressed:
        return _undressed_hits(snapshot, request, ranked)
    found = [
        _nearest(view, request, each)
        if by_words is None
        else _fused(view, request, index, each, by_words[index])
        for index, each in enumerate(ranked)
    ]
    plain = _plain_hits(snapshot, request, {each.label for some in found for each in some})
    return [
        [_hit(view, request, plan, index, each, plain[each.label]) for each in some]
        for index, some in enumerate(found)
    ]


def make_bare_hits(
    view: View, request: SearchRequest, ranked: Sequence[Ranked]
) -> list[list[Hit]] | None:
    """Ids and scores from memory; None where an id was not read yet."""
    if not ranked:
        return []
    cut = [_cut(request, each) for each in ranked]
    names = view.names[np.concatenate([rows for rows, _ in cut])].tolist()
    if None in names:
        return None
    hits = list(map(Hit, names, np.concatenate([scores for _, scores in cut]).tolist()))
    edges = [0, *accumulate(len(rows) for rows, _ in cut)]
    return [hits[start:stop] for start, stop in pairwise(edges)]


def _undressed_hits(
    snapshot: Snapshot, request: SearchRequest, ranked: Sequence[Ranked]
) -> list[list[Hit]]:
    """The short way for what is asked for most: 64 queries bring 640 hits."""
    cut = [_cut(request, each) for each in ranked]
    found = [(snapshot.view.labels[rows].tolist(), scores.tolist()) for rows, scores in cut]
    plain = _plain_hits(snapshot, request, {label for labels, _ in found for label in labels})
    hits = []
    for labels, scores in found:
        parts = [plain[label] for label in labels]
        hits.append(
            [
                Hit(doc_id, score, text, metadata)
                for (doc_id, text, metadata), score in zip(parts, scores, strict=True)
            ]
        )
    return hits


def _cut(request: SearchRequest, ranked: Ranked) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """The first k, without those below the least score."""
    rows, scores = ranked.rows[: request.k], ranked.scores[: request.k]
    if request.min_score is None:
        return rows, scores
    return rows[scores >= request.min_score], scores[scores >= request.min_score]


def _nearest(view: View, request: SearchRequest, ranked: Ranked) -> list[_Found]:
    rows, scores = _cut(request, ranked)
    return [
        _Found(label, row, score, score, rank)
        for rank, (label, row, score) in enumerate(
            zip(view.labels[rows].tolist(), rows.tolist(), scores.tolist(), strict=True), 1
        )
    ]


def _fused(
    view: View, request: SearchRequest, index: int, ranked: Ranked, by_words: ByWords
) -> list[_Found]:
    """The fused ranking; a limit on scores is one on cosines, as fused scores say nothing alone."""
    if not len(view.labels):
        return []
    near = view.labels[ranked.rows].tolist()
    words = dict(by_words)
    order = fuse([near, list(words)])
    rows, there = view.rows_of(np.array([label for label, _ in order], np.uint64))
    scores = cosines(view, request.queries[index], rows).tolist()
    vector_ranks = {label: rank for rank, label in enumerate(near, 1)}
    word_ranks = {label: rank for rank, label in enumerate(words, 1)}
    least = -np.inf if request.min_score is None else request.min_score
    found = [
        _Found(
            label,
            row,
            score,
            cosine,
            vector_ranks.get(label),
            word_ranks.get(label),
            words.get(label),
        )
        for (label, score), row, is_there, cosine in zip(
            order, rows.tolist(), there.tolist(), scores, strict=True
        )
        if is_there and cosine >= least
    ]
    return found[: request.k]


def _plain_hits(snapshot: Snapshot, request: SearchRequest, labels: set[int]) -> dict[int, _Plain]:
    """What every hit on a document has, once a document."""
    records = snapshot.records(sorted(labels))
    has_text, has_metadata = "text" in request.include, "metadata" in request.include
    return {
        label: (
            record.id,
            record.text if has_text or request.is_dressed else None,
            record.metadata() if has_metadata else None,
        )
        for label, record in records.items()
    }


def _hit(
    view: View, request: SearchRequest, plan: Plan, index: int, found: _Found, plain: _Plain
) -> Hit:
    include, (doc_id, text, metadata) = request.include, plain
    return Hit(
        id=doc_id,
        score=found.score,
        text=text if "text" in include else None,
        metadata=metadata,
        vector=view.vectors[found.row].astype(np.float32) if "vector" in include else None,
        snippet=_snippet(request, index, text) if "snippet" in include and text else None,
        explain=_explanation(plan, found) if request.explain else None,
    )


def _snippet(request: SearchRequest, index: int, text: str) -> str:
    return snippet_of(text, terms_of(request.texts[index]) if request.texts else [])


def _explanation(plan: Plan, found: _Found) -> dict[str, Any]:
    return {
        "plan": plan.kind,
        "reason": plan.reason,
        "cosine": found.cosine,
        "vector_rank": found.vector_rank,
        "word_rank": found.word_rank,
        "bm25": found.bm25,
    }
