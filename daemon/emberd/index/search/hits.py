"""From ranked rows to hits: both rankings fused, scores cut off, documents read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emberd.index.documents import Hit
from emberd.index.search.exact import Ranked
from emberd.index.search.fusion import fuse
from emberd.index.search.planner import Plan
from emberd.index.search.ranking import cosines
from emberd.index.search.request import SearchRequest
from emberd.index.search.words import snippet_of, terms_of
from emberd.index.store.records import Record
from emberd.index.store.snapshot import Snapshot
from emberd.index.store.view import View

__all__ = ["ByWords", "make_hits"]

ByWords = list[tuple[int, float]]
"""`(label, bm25)`, best first."""


@dataclass(slots=True)
class _Found:
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
    found = [
        _fused(view, request, index, each, by_words[index])
        if by_words is not None
        else _nearest(view, request, each)
        for index, each in enumerate(ranked)
    ]
    labels = sorted({each.label for some in found for each in some})
    records = snapshot.records(labels)
    maps = _metadata(request, records)
    return [
        [
            _hit(view, request, plan, index, each, records[each.label], maps.get(each.label))
            for each in some
        ]
        for index, some in enumerate(found)
    ]


def _nearest(view: View, request: SearchRequest, ranked: Ranked) -> list[_Found]:
    labels = view.labels[ranked.rows].tolist()
    found = []
    for rank, (label, row, score) in enumerate(
        zip(labels, ranked.rows.tolist(), ranked.scores.tolist(), strict=True), 1
    ):
        if rank > request.k or _is_below(request, score):
            break
        found.append(_Found(label, row, score, score, vector_rank=rank))
    return found


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
    found = [
        _Found(
            label,
            row,
            score,
            cosine,
            vector_rank=vector_ranks.get(label),
            word_rank=word_ranks.get(label),
            bm25=words.get(label),
        )
        for (label, score), row, is_there, cosine in zip(
            order, rows.tolist(), there.tolist(), scores, strict=True
        )
        if is_there and not _is_below(request, cosine)
    ]
    return found[: request.k]


def _is_below(request: SearchRequest, cosine: float) -> bool:
    return request.min_score is not None and cosine < request.min_score


def _metadata(request: SearchRequest, records: dict[int, Record]) -> dict[int, dict[str, Any]]:
    if "metadata" not in request.include:
        return {}
    return {label: record.metadata() for label, record in records.items()}


def _hit(
    view: View,
    request: SearchRequest,
    plan: Plan,
    index: int,
    found: _Found,
    record: Record,
    metadata: dict[str, Any] | None,
) -> Hit:
    include = request.include
    text = record.text
    return Hit(
        id=record.id,
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
