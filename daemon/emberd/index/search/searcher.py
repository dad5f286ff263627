"""One search from request to hits: steps on threads, within one snapshot, the graph in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emberd.errors import GraphLostError
from emberd.index.documents import Hit
from emberd.index.filters import Node
from emberd.index.search.exact import Ranked
from emberd.index.search.hits import ByWords, make_bare_hits, make_hits
from emberd.index.search.lexical import search_words
from emberd.index.search.planner import Plan, Situation, plan_search
from emberd.index.search.ranking import Proposal, rank_exactly, rank_proposals, take_ranking
from emberd.index.search.request import SearchRequest
from emberd.index.search.results import ResultCache
from emberd.index.store.readers import Readers
from emberd.index.store.snapshot import Snapshot
from emberd.index.store.view import View

__all__ = ["Proposer", "Searcher"]

_MASK_CACHE_BYTES = 16 << 20
# Ranks that each half of a hybrid search brings to the fusion.
_FUSED_DEPTH = 50
_FUSED_FACTOR = 4
# Labels that are looked up within 0.3 ms: a thread would take about as long to begin.
_QUICK_LABELS = 1_024

_Rank = Callable[[], list[Ranked]]


class Proposer(Protocol):
    """The graph as a search sees it."""

    @property
    def applied(self) -> int | None:
        """Every living document up to this label is in the graph; None without a graph."""

    async def propose(
        self, queries: NDArray[np.float32], k: int, allowed: NDArray[np.uint64] | None
    ) -> Proposal:
        """Labels (q, k') of about the k nearest, of the allowed ones alone where given.

        Raises GraphLostError.
        """


@dataclass(slots=True)
class _Draft:
    """What is known after the first step; `hits` when that was all."""

    view: View
    plan: Plan
    mask: NDArray[np.bool] | None
    by_words: list[ByWords] | None
    applied: int | None
    """The proposer's, from before it was asked."""
    first_pending: int
    hits: list[list[Hit]] | None = None


class Searcher:
    """Searches of one collection. Raises what a snapshot's methods raise."""

    def __init__(
        self, readers: Readers, proposer: Proposer, exact_below: int, executor: Executor
    ) -> None:
        self._readers = readers
        self._executor = executor
        self._proposer = proposer
        self._exact_below = exact_below
        self.has_names = False
        """Whether the view has all ids, so that bare searches need no database."""
        self._masks = ResultCache[NDArray[np.bool]](_MASK_CACHE_BYTES)

    async def search(self, request: SearchRequest) -> tuple[int, list[list[Hit]]]:
        """The version that was searched, and the hits of each query, best first."""
        if self.has_names and request.is_bare:
            found = await self._search_bare(request)
            if found is not None:
                return found
        async with self._readers.lease() as lease:
            draft = await lease.run(self._begin, request, self._proposer.applied)
            if draft.hits is not None:
                return draft.view.version, draft.hits
            rank = await self._ask_graph(request, draft)
            hits = await lease.finish(self._finish, request, draft, rank)
            return draft.view.version, hits

    async def _search_bare(self, request: SearchRequest) -> tuple[int, list[list[Hit]]] | None:
        """From the graph and from memory alone; None where that is not enough."""
        applied = self._proposer.applied
        if self._drafted(self._readers.view, request, applied).plan.kind != "graph":
            return None
        try:
            proposed = await self._propose(request.queries, request.k, None, applied)
        except GraphLostError:
            return None
        # The newest version has nothing that the graph was told to forget meanwhile.
        draft = self._drafted(self._readers.view, request, applied)
        view = draft.view
        is_quick = draft.first_pending == len(view.labels) and proposed[0].size <= _QUICK_LABELS
        ranked = take_ranking(view, request.k, proposed) if is_quick else None
        if ranked is not None:
            hits = make_bare_hits(view, request, ranked)
        else:
            rank = _rank_of(request, draft, proposed, view)
            hits = await asyncio.get_running_loop().run_in_executor(
                self._executor, lambda: make_bare_hits(view, request, rank())
            )
        return None if hits is None else (view.version, hits)

    def _begin(self, snapshot: Snapshot, request: SearchRequest, applied: int | None) -> _Draft:
        view = snapshot.view
        mask = None if request.where is None else self._mask(snapshot, request.where)
        by_words = _by_words(snapshot, request) if request.is_hybrid else None
        draft = self._drafted(view, request, applied, mask, by_words)
        if draft.plan.kind != "graph":
            draft.hits = self._finish(snapshot, request, draft, _exact(request, draft))
            snapshot.end()  # here, and not by another hop to a thread
        return draft

    def _drafted(
        self,
        view: View,
        request: SearchRequest,
        applied: int | None,
        mask: NDArray[np.bool] | None = None,
        by_words: list[ByWords] | None = None,
    ) -> _Draft:
        first_pending = 0 if applied is None else view.after(applied)
        plan = plan_search(
            Situation(
                live=view.live,
                k=request.k,
                allowed=None if mask is None else int(np.count_nonzero(mask)),
                has_graph=applied is not None,
                pending=len(view.labels) - first_pending,
                exact_below=self._exact_below,
                exact=request.exact,
            )
        )
        return _Draft(view, plan, mask, by_words, applied, first_pending)

    def _mask(self, snapshot: Snapshot, where: Node) -> NDArray[np.bool]:
        """Rows that a filter lets through, remembered until the next write."""
        view = snapshot.view
        key = repr(where)
        mask = self._masks.get(view.version, key)
        # Rewriting the vectors' file moves the rows and makes no new version.
        if mask is None or len(mask) != len(view.labels):
            mask = view.mask_of(snapshot.labels_where(where))
            self._masks.put(view.version, key, mask, mask.nbytes + len(key))
        return mask

    async def _ask_graph(self, request: SearchRequest, draft: _Draft) -> _Rank:
        """How to rank, once the graph has answered or failed to."""
        view, depth = draft.view, _depth(request)
        allowed = None
        if draft.mask is not None:
            allowed = view.labels[: draft.first_pending][draft.mask[: draft.first_pending]]
        try:
            proposed = await self._propose(request.queries, depth, allowed, draft.applied)
        except GraphLostError:
            draft.plan = Plan("exact", "the graph is lost")
            return _exact(request, draft)
        return _rank_of(request, draft, proposed, self._readers.view)

    async def _propose(
        self,
        queries: NDArray[np.float32],
        k: int,
        allowed: NDArray[np.uint64] | None,
        applied: int | None,
    ) -> Proposal:
        """Raises GraphLostError for a graph that had not all it had when it was at `applied`."""
        proposed = await self._proposer.propose(queries, k, allowed)
        now = self._proposer.applied
        if applied is None or now is None or now < applied:
            raise GraphLostError("The graph was lost, or began anew, before it answered.")
        return proposed

    def _finish(
        self,
        snapshot: Snapshot,
        request: SearchRequest,
        draft: _Draft,
        rank: _Rank,
    ) -> list[list[Hit]]:
        return make_hits(snapshot, request, draft.plan, rank(), draft.by_words)


def _rank_of(request: SearchRequest, draft: _Draft, proposed: Proposal, newest: View) -> _Rank:
    return lambda: rank_proposals(
        draft.view,
        request.queries,
        _depth(request),
        draft.mask,
        proposed=proposed,
        first_pending=draft.first_pending,
        newest=newest,
    )


def _exact(request: SearchRequest, draft: _Draft) -> _Rank:
    return lambda: rank_exactly(draft.view, request.queries, _depth(request), draft.mask)


def _by_words(snapshot: Snapshot, request: SearchRequest) -> list[ByWords]:
    texts: Sequence[str] = request.texts or ()
    return [search_words(snapshot, text, _depth(request), request.where) for text in texts]


def _depth(request: SearchRequest) -> int:
    """How many of each ranking are needed."""
    if not request.is_hybrid:
        return request.k
    return max(_FUSED_DEPTH, _FUSED_FACTOR * request.k)
