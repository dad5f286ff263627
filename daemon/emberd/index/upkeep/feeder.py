"""Keeps one collection's graph up to what its store has. The store never waits for it.

The feeder knows a label up to which every living document is in the graph; searches look at newer
ones exactly. So a graph that is behind, lost or being built costs time and never a result.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberd.config import IndexSettings
from emberd.errors import EmberdError, GraphLostError, StorageError
from emberd.index.documents import Notify
from emberd.index.search.ranking import Proposal
from emberd.index.store import Store
from emberd.index.store.view import View
from emberd.index.upkeep.probe import PROBE_K, next_ef, recall_of, take_sample
from emberd.index.upkeep.schedule import (
    Changes,
    estimated_bytes,
    is_checkpoint_due,
    is_rebuild_due,
    wait_s,
)
from emberd.index.upkeep.seam import GraphFigures, GraphState, OnReload, VectorGraph

__all__ = ["Feeder"]

# Rows given to the graph at a time: deletions come in between, and progress is seen.
_CHUNK_ROWS = 2_048
_FIRST_RETRY_S = 1.0
_LAST_RETRY_S = 60.0
# Between probes while they still change how widely is searched.
_PROBE_AGAIN_S = 5.0


class Feeder:
    """Owned by the event loop; `committed` may be called from any thread."""

    def __init__(
        self,
        name: str,
        store: Store,
        settings: IndexSettings,
        notify: Notify,
        *,
        open_graph: Callable[[OnReload], Awaitable[VectorGraph]] | None,
        may_have: Callable[[int], bool] = lambda size_bytes: True,
    ) -> None:
        """`may_have(bytes)` says whether this graph fits into the memory of all."""
        self.state: GraphState = "off"
        self.message = ""
        self.recall: float | None = None
        self.ef: int | None = settings.ef_search or None
        self._name = name
        self._store = store
        self._settings = settings
        self._notify = notify
        self._open_graph = open_graph
        self._may_have = may_have
        self._retry_s = _FIRST_RETRY_S
        self._graph: VectorGraph | None = None
        self._applied = 0
        self._deleted: deque[int] = deque()
        self._changes = Changes()
        self._probe_at: float | None = None
        self._asked: list[asyncio.Future[None]] = []
        self._served: list[asyncio.Future[None]] = []
        self._audits: list[asyncio.Future[int]] = []
        self._must_rebuild = self._is_rebuilding = False
        self._told = ""
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self._closing = asyncio.Event()
        self._settled = asyncio.Event()
        self._task = self._loop.create_task(self._work(), name=f"index-feeder-{name}")

    @property
    def applied(self) -> int | None:
        """See Proposer."""
        return self._applied if self._graph is not None and self.state == "ok" else None

    @property
    def figures(self) -> GraphFigures | None:
        """What the graph says of itself; None without one."""
        return self._graph.stats() if self._graph is not None else None

    @property
    def indexed(self) -> int:
        """Living documents that the graph has."""
        if self.applied is None:
            return 0
        view = self._store.view
        return int(np.count_nonzero(view.alive[: view.after(self._applied)]))

    @property
    def rebuild_ratio(self) -> float:
        """Progress of a rebuild; 1 where there is none."""
        if not self._is_rebuilding:
            return 1.0
        view = self._store.view
        return view.after(self._applied) / max(1, len(view.labels))

    @property
    def is_rebuilding(self) -> bool:
        return self._is_rebuilding

    def committed(self, deleted: list[int]) -> None:
        """A new version of the store is there; these labels are gone."""
        if self._graph is not None:  # one that opens later asks for all that is alive
            self._deleted.extend(deleted)
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._woken.set)

    async def propose(
        self, queries: NDArray[np.float32], k: int, allowed: NDArray[np.uint64] | None
    ) -> Proposal:
        """See Proposer."""
        if self._graph is None:
            raise GraphLostError("The graph is not open.")
        ef = None if self.ef is None else max(self.ef, k + k // 2)
        try:
            labels, _ = await self._graph.search(queries, k, ef=ef, allowed=allowed)
        except GraphLostError:
            self._note_lost()
            raise
        return labels

    async def rebuild(self) -> None:
        """Write the vectors' file without its dead rows and build the graph anew.

        Raises GraphLostError where there is no graph to build at present.
        """
        done: asyncio.Future[None] = self._loop.create_future()
        self._asked.append(done)
        self._woken.set()
        await asyncio.shield(done)

    async def audit(self) -> int:
        """Compare the graph with the store; returns how many documents it lacked. It gets them.

        Raises GraphLostError.
        """
        done: asyncio.Future[int] = self._loop.create_future()
        self._audits.append(done)
        self._woken.set()
        return await asyncio.shield(done)

    async def settle(self) -> None:
        """Wait until everything that is stored has reached the graph (for tests and `close`)."""
        self._settled.clear()
        self._woken.set()
        await self._settled.wait()

    async def close(self) -> None:
        """Save the graph and let go of it."""
        self._closing.set()
        self._woken.set()
        await self._task
        for done in self._waiting():
            done.cancel()
        if self._graph is not None:
            graph, self._graph = self._graph, None
            with suppress(EmberdError):  # the next opening replays what is missing
                await graph.close(checkpoint=self.state == "ok")

    async def _work(self) -> None:
        while not self._closing.is_set():
            self._woken.clear()
            try:
                await self._round()
            except GraphLostError as exc:
                self._note_lost()
                self._refuse(exc)
                await self._pause()
            except Exception as exc:  # the graph is a help: without it searches are exact
                self._tell_once("index.graph_failed", f"the graph is not kept up: {exc}")
                self.state = "off" if self._graph is None else "restarting"
                self._refuse(exc)
                await self._pause()
            else:
                self._retry_s, self._told = _FIRST_RETRY_S, ""
                if not self._woken.is_set():
                    self._settled.set()
                    await self._sleep()
        self._settled.set()

    async def _round(self) -> None:
        if self._asked:
            self._served += self._asked
            self._asked = []
            self._must_rebuild = True
        await self._compact_when_due()
        if await self._has_graph():
            await self._rebuild_when_due()
            await self._catch_up()
            await self._rebuild_when_due()
            await self._save_when_due()
            await self._probe_when_due()
            await self._audit_when_asked()
        self._finish_rebuilds()

    async def _has_graph(self) -> bool:
        view, settings = self._store.view, self._settings
        if self._open_graph is None or (
            self._graph is None and view.live < max(1, settings.exact_below)
        ):
            return False
        if not self._may_have(estimated_bytes(len(view.labels), self._store.layout.dim, settings)):
            self.message = "its graph does not fit into index.memory_mib; searches are exact"
            await self._let_go(checkpoint=True)
            return False
        self.message = ""
        if self._graph is not None and self._graph.stats().state == "off":
            await self._let_go(checkpoint=False)
        if self._graph is None:
            self.state = "loading"
            self._graph = await self._open_graph(self._reloaded)
        if self.state != "ok":
            await self._reconcile(self._graph)
        return True

    async def _let_go(self, *, checkpoint: bool) -> None:
        graph, self._graph, self.state = self._graph, None, "off"
        if graph is not None:
            with suppress(EmberdError):
                await graph.close(checkpoint=checkpoint)

    def _reloaded(self, covered: int) -> None:
        """The graph lost what its checkpoint does not cover: no search may believe it now."""
        del covered  # reconciling asks for every document, and not only the newer ones
        if self.state == "ok":
            self.state = "restarting"
        self._woken.set()

    async def _reconcile(self, graph: VectorGraph) -> None:
        """Find out what the graph lacks; what is gone from the store goes from it too."""
        self._deleted.clear()
        view = self._store.view  # newer than every deletion that was just forgotten
        missing = await graph.reconcile(view.labels[view.alive])
        last = int(view.labels[-1]) if len(view.labels) else 0
        self._applied = int(missing[0]) - 1 if len(missing) else last
        if self.state == "restarting":
            self._tell("info", "index.graph_back", f"the graph is back, {len(missing)} to replay")
        self.state = "ok"
        if self._probe_at is None and self._settings.probe_s:
            self._probe_at = 0.0

    async def _catch_up(self) -> None:
        graph = self._graph
        while graph is not None and not self._closing.is_set():
            await self._apply_deletions(graph)
            view = self._store.view  # newer than those deletions: nothing of them is added
            first = view.after(self._applied)
            if first == len(view.labels):
                return
            stop = min(first + _CHUNK_ROWS, len(view.labels))
            labels, vectors = await asyncio.to_thread(_alive_between, view, first, stop)
            if len(labels):
                await graph.add(labels, vectors)
                self._changes.count(time.monotonic(), added=len(labels))
            self._applied = int(view.labels[stop - 1])

    async def _audit_when_asked(self) -> None:
        graph, before = self._graph, self._applied
        if graph is None or not self._audits:
            return
        view = self._store.view
        missing = await graph.reconcile(view.labels[view.alive])
        lacking = missing[missing <= before]
        if len(lacking):
            self._applied = int(lacking[0]) - 1
            await self._catch_up()
        self._finish_audits(len(lacking))

    def _finish_audits(self, lacking: int) -> None:
        audits, self._audits = self._audits, []
        for done in audits:
            if not done.done():
                done.set_result(lacking)

    async def _apply_deletions(self, graph: VectorGraph) -> None:
        gone: list[int] = []
        while self._deleted:
            label = self._deleted.popleft()
            if label <= self._applied:
                gone.append(label)
        if gone:
            await graph.mark_deleted(np.array(gone, np.uint64))
            self._changes.count(time.monotonic(), deleted=len(gone))

    async def _compact_when_due(self) -> None:
        view = self._store.view
        if is_rebuild_due(view.live, view.dead, self._settings) or (
            self._must_rebuild and view.dead
        ):
            await self._store.compact()

    async def _rebuild_when_due(self) -> None:
        graph = self._graph
        if graph is None or self._closing.is_set():
            return
        figures = graph.stats()
        is_due = is_rebuild_due(figures.count, figures.deleted, self._settings)
        if not (is_due or self._must_rebuild):
            return
        self._is_rebuilding = True
        self._tell("info", "index.rebuilding", f"{figures.deleted} deleted vectors are left out")
        self._deleted.clear()
        self._applied = 0
        await graph.clear()
        self._must_rebuild = False
        await self._catch_up()

    def _finish_rebuilds(self) -> None:
        """Everything is caught up: whoever waits for a rebuild has it."""
        if self._closing.is_set():
            return
        self._finish_audits(0)  # without a graph there is nothing to lack
        if self._is_rebuilding:
            self._is_rebuilding = False
            self._tell("info", "index.rebuilt", "the graph is built anew")
        self._must_rebuild = False
        served, self._served = self._served, []
        for done in served:
            if not done.done():
                done.set_result(None)

    def _refuse(self, exc: Exception) -> None:
        """Nobody waits for a graph that may never come."""
        self._must_rebuild = False
        waiting = self._waiting()
        self._asked, self._served, self._audits = [], [], []
        for done in waiting:
            if not done.done():
                done.set_exception(GraphLostError(f"There is no graph at present: {exc}"))

    def _waiting(self) -> list[asyncio.Future[Any]]:
        return [*self._asked, *self._served, *self._audits]

    async def _save_when_due(self) -> None:
        graph, size = self._graph, self._store.view.live
        if graph is not None and (
            self._is_rebuilding
            or is_checkpoint_due(self._changes, size, time.monotonic(), self._settings)
        ):
            self._changes.clear()
            try:
                await graph.checkpoint()
            except StorageError as exc:  # a full disk; what is in memory is as good as before
                self._changes.count(time.monotonic(), added=1)
                self._tell_once("index.graph_unsaved", exc.message)

    async def _probe_when_due(self) -> None:
        now = time.monotonic()
        if self._probe_at is None or now < self._probe_at or self._closing.is_set():
            return
        self._probe_at = now + self._settings.probe_s
        view = self._store.view
        sample = await asyncio.to_thread(take_sample, view, self._applied)
        if not len(sample.queries):
            return
        found = await self.propose(sample.queries, PROBE_K + 1, None)
        self.recall = recall_of(sample, found)
        wider = next_ef(self.ef, self.recall)
        if not self._settings.ef_search and wider != self.ef:
            self.ef = wider
            self._probe_at = now + min(_PROBE_AGAIN_S, self._settings.probe_s)

    def _note_lost(self) -> None:
        if self.state == "ok":
            self._tell("warning", "index.graph_lost", "the graph is lost; searches are exact")
            self.state = "restarting"
            self._woken.set()

    async def _pause(self) -> None:
        """Wait before the next try, longer each time; writes do not cut it short."""
        self._settled.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), self._retry_s)
        self._retry_s = min(2 * self._retry_s, _LAST_RETRY_S)

    async def _sleep(self) -> None:
        """Until something is stored, asked for, or due."""
        now = time.monotonic()
        timeout_s = wait_s(self._changes, self._probe_at, now, self._settings)
        if self._graph is None or timeout_s == float("inf"):
            await self._woken.wait()
        else:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), timeout_s)

    def _tell_once(self, event: str, message: str) -> None:
        """Not again with every try, until it has worked once."""
        if message != self._told:
            self._told = message
            self._tell("warning", event, message)

    def _tell(self, level: str, event: str, message: str) -> None:
        self._notify(level, event, f"{self._name}: {message}")


def _alive_between(
    view: View, first: int, stop: int
) -> tuple[NDArray[np.uint64], NDArray[np.float32]]:
    rows = np.flatnonzero(view.alive[first:stop]) + first
    return view.labels[rows], view.vectors[rows].astype(np.float32)
