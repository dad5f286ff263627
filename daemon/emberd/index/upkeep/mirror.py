"""A graph as the mirror of a store: what it has, what it lacks, what it must forget.

The mirror knows a label up to which every living document is in the graph; searches look at newer
ones exactly. So a graph that is behind, lost or being built costs time and never a result.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from emberd.errors import EmberdError, GraphLostError
from emberd.index.search.ranking import Proposal
from emberd.index.store import Store
from emberd.index.store.view import View
from emberd.index.upkeep.schedule import Changes
from emberd.index.upkeep.seam import GraphFigures, GraphState, OnReload, VectorGraph

__all__ = ["GraphMirror"]

# Rows given to the graph at a time: deletions come in between, and progress is seen.
_CHUNK_ROWS = 2_048
# Proposals beyond what is asked for, in the place of documents that the graph should forget.
_MOST_SPARE = 64


class GraphMirror:
    """Owned by the event loop; only `forget` may be called from other threads.

    Every coroutine may raise GraphLostError.
    """

    def __init__(self, store: Store, on_lost: Callable[[], None]) -> None:
        """`on_lost` is called when a graph that was in use is not to be believed any more."""
        self.state: GraphState = "off"
        self.graph: VectorGraph | None = None
        self.changes = Changes()
        self._store = store
        self._on_lost = on_lost
        self._applied = 0
        self._gone: deque[int] = deque()

    @property
    def applied(self) -> int | None:
        """See Proposer."""
        return self._applied if self.graph is not None and self.state == "ok" else None

    @property
    def applied_rows(self) -> int:
        """Rows of the store that have reached the graph."""
        return self._store.view.after(self._applied)

    @property
    def figures(self) -> GraphFigures | None:
        """What the graph says of itself; None without one."""
        return self.graph.stats() if self.graph is not None else None

    def forget(self, labels: list[int]) -> None:
        """These are gone from the store; the graph hears of it with the next round."""
        if self.graph is not None:  # one that opens later asks for all that is alive
            self._gone.extend(labels)

    def distrust(self) -> None:
        """The graph may not have what it had: no search asks it before it is compared."""
        if self.state == "ok":
            self.state = "restarting"
            self._on_lost()

    async def propose(
        self,
        queries: NDArray[np.float32],
        k: int,
        ef: int | None,
        allowed: NDArray[np.uint64] | None,
    ) -> Proposal:
        """See Proposer."""
        if self.graph is None:
            raise GraphLostError("The graph is not open.")
        if allowed is None:
            k += min(len(self._gone), _MOST_SPARE)
        try:
            return await self.graph.search(queries, k, ef=ef, allowed=allowed)
        except GraphLostError:
            self.distrust()
            raise

    async def raise_up(self, open_graph: Callable[[OnReload], Awaitable[VectorGraph]]) -> bool:
        """Have a graph that can be believed; says whether it had to be compared for that."""
        if self.graph is not None and self.graph.stats().state == "off":
            await self.let_go(checkpoint=False)
        if self.graph is None:
            self.state = "loading"
            # What the checkpoint covers is not asked: reconciling names every missing document.
            try:
                self.graph = await open_graph(lambda covered: self.distrust())
            except BaseException:
                self.state = "off"
                raise
        if self.state == "ok":
            return False
        self._gone.clear()
        view = self._store.view  # newer than every deletion that was just forgotten
        self._lacks(await self.graph.reconcile(view.labels[view.alive]), view)
        self.state = "ok"
        return True

    async def let_go(self, *, checkpoint: bool) -> None:
        """Close the graph. What its checkpoint lacks is replayed at the next opening."""
        graph, self.graph, self.state = self.graph, None, "off"
        if graph is not None:
            with suppress(EmberdError):
                await graph.close(checkpoint=checkpoint)

    async def catch_up(self, closing: asyncio.Event) -> None:
        """Give the graph everything that the store has."""
        while self.graph is not None and not closing.is_set():
            await self._forget_gone(self.graph)
            view = self._store.view  # newer than those deletions: nothing of them is added
            first = view.after(self._applied)
            if first == len(view.labels):
                return
            stop = min(first + _CHUNK_ROWS, len(view.labels))
            labels, vectors = await asyncio.to_thread(_alive_between, view, first, stop)
            if len(labels):
                await self.graph.add(labels, vectors)
                self.changes.count(time.monotonic(), added=len(labels))
            self._applied = int(view.labels[stop - 1])

    async def empty(self) -> None:
        """Begin anew: the graph forgets everything, and is given it again."""
        if self.graph is not None:
            self._gone.clear()
            self._applied = 0
            await self.graph.clear()

    async def audit(self) -> int:
        """Compare with the store; returns how many documents that should be there were not."""
        if self.graph is None:
            return 0
        view, before = self._store.view, self._applied
        missing = await self.graph.reconcile(view.labels[view.alive])
        lacking = int(np.count_nonzero(missing <= before))
        if lacking:
            self._lacks(missing, view)
        return lacking

    def _lacks(self, missing: NDArray[np.uint64], view: View) -> None:
        last = int(view.labels[-1]) if len(view.labels) else 0
        self._applied = int(missing[0]) - 1 if len(missing) else last

    async def _forget_gone(self, graph: VectorGraph) -> None:
        gone: list[int] = []
        while self._gone:
            label = self._gone.popleft()
            if label <= self._applied:  # newer ones are dead in the view and never added
                gone.append(label)
        if gone:
            await graph.mark_deleted(np.array(gone, np.uint64))
            self.changes.count(time.monotonic(), deleted=len(gone))


def _alive_between(
    view: View, first: int, stop: int
) -> tuple[NDArray[np.uint64], NDArray[np.float32]]:
    rows = np.flatnonzero(view.alive[first:stop]) + first
    return view.labels[rows], view.vectors[rows].astype(np.float32)
