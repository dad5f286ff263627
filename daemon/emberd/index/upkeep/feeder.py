"""The task that keeps a collection's graph up to its store, saved, measured and free of the dead.

The store never waits for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from emberd.config import IndexSettings
from emberd.errors import GraphLostError, StorageError
from emberd.index.documents import Notify
from emberd.index.search.ranking import Proposal
from emberd.index.store import Store
from emberd.index.upkeep.errands import Errands
from emberd.index.upkeep.mirror import GraphMirror
from emberd.index.upkeep.probe import PROBE_K, next_ef, recall_of, take_sample
from emberd.index.upkeep.schedule import (
    estimated_bytes,
    is_checkpoint_due,
    is_rebuild_due,
    wait_s,
)
from emberd.index.upkeep.seam import GraphFigures, GraphState, OnReload, VectorGraph

__all__ = ["Feeder"]

_FIRST_RETRY_S = 1.0
_LAST_RETRY_S = 60.0
# Between probes while they still change how widely is searched.
_PROBE_AGAIN_S = 5.0


class Feeder:
    """Owned by the event loop; `committed` may be called from any thread. A Proposer."""

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
        self.message = ""
        self.recall: float | None = None
        self.ef: int | None = settings.ef_search or None
        self.is_rebuilding = False
        self._name = name
        self._store = store
        self._settings = settings
        self._notify = notify
        self._open_graph = open_graph
        self._may_have = may_have
        self._mirror = GraphMirror(store, self._lost)
        self._errands = Errands()
        self._must_rebuild = False
        self._was_lost = False
        self._probe_at: float | None = None
        self._retry_s = _FIRST_RETRY_S
        self._told = ""
        self._loop = asyncio.get_running_loop()
        self._woken, self._closing, self._settled = (asyncio.Event() for _ in range(3))
        self._task = self._loop.create_task(self._work(), name=f"index-feeder-{name}")

    @property
    def applied(self) -> int | None:
        """See Proposer."""
        return self._mirror.applied

    @property
    def state(self) -> GraphState:
        return self._mirror.state

    @property
    def figures(self) -> GraphFigures | None:
        """What the graph says of itself; None without one."""
        return self._mirror.figures

    @property
    def indexed(self) -> int:
        """Living documents that the graph has."""
        if self._mirror.applied is None:
            return 0
        return int(np.count_nonzero(self._store.view.alive[: self._mirror.applied_rows]))

    @property
    def rebuild_ratio(self) -> float:
        """Progress of a rebuild; 1 where there is none."""
        if not self.is_rebuilding:
            return 1.0
        return self._mirror.applied_rows / max(1, len(self._store.view.labels))

    def committed(self, deleted: list[int]) -> None:
        """A new version of the store is there; these labels are gone."""
        self._mirror.forget(deleted)
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._woken.set)

    async def propose(
        self, queries: NDArray[np.float32], k: int, allowed: NDArray[np.uint64] | None
    ) -> Proposal:
        """See Proposer."""
        ef = None if self.ef is None else max(self.ef, k + k // 2)
        return await self._mirror.propose(queries, k, ef, allowed)

    async def rebuild(self) -> None:
        """Write the vectors' file without its dead rows and build the graph anew.

        Raises GraphLostError where there is no graph to build at present.
        """
        done = self._errands.ask_rebuild()
        self._woken.set()
        await asyncio.shield(done)

    async def audit(self) -> int:
        """Compare the graph with the store; returns how many documents it lacked. It gets them.

        Raises GraphLostError.
        """
        done = self._errands.ask_audit()
        self._woken.set()
        return await asyncio.shield(done)

    async def settle(self) -> None:
        """Wait until what is stored now has reached the graph, or has failed to."""
        self._settled.clear()
        self._woken.set()
        await self._settled.wait()

    async def close(self, *, save: bool = True) -> None:
        """Let go of the graph, saved or not."""
        self._closing.set()
        self._woken.set()
        await self._task
        self._errands.cancel()
        await self._mirror.let_go(checkpoint=save and self._mirror.state == "ok")

    async def _work(self) -> None:
        while not self._closing.is_set():
            self._woken.clear()
            try:
                await self._round()
            except Exception as exc:  # the graph is a help: without it searches are exact
                self._failed(exc)
                self._settled.set()
                await self._pause()
            else:
                self._retry_s, self._told = _FIRST_RETRY_S, ""
                if not self._woken.is_set():
                    self._settled.set()
                    await self._sleep()
        self._settled.set()

    async def _round(self) -> None:
        self._must_rebuild |= self._errands.take_rebuilds()
        await self._compact_when_due()
        if await self._has_graph():
            await self._rebuild_when_due()
            await self._mirror.catch_up(self._closing)
            await self._rebuild_when_due()
            await self._save_when_due()
            await self._probe_when_due()
            await self._audit_when_asked()
        if not self._closing.is_set():
            self._finish()

    def _finish(self) -> None:
        """Everything is caught up: whoever waits has it."""
        if self.is_rebuilding:
            self.is_rebuilding = False
            self._tell("info", "index.rebuilt", "the graph is built anew")
        self._must_rebuild = False
        self._errands.finish_rebuilds()
        self._errands.finish_audits(0)  # without a graph there is nothing to lack

    async def _has_graph(self) -> bool:
        view, settings, mirror = self._store.view, self._settings, self._mirror
        is_small = mirror.graph is None and view.live < max(1, settings.exact_below)
        if self._open_graph is None or is_small:
            return False
        if not self._may_have(estimated_bytes(len(view.labels), self._store.layout.dim, settings)):
            self.message = "its graph does not fit into index.memory_mib; searches are exact"
            await mirror.let_go(checkpoint=True)
            return False
        self.message = ""
        if await mirror.raise_up(self._open_graph):
            if self._was_lost:
                self._tell("info", "index.graph_back", "the graph is back")
            self._was_lost = False
            if self._probe_at is None and settings.probe_s:
                self._probe_at = 0.0
        return True

    async def _compact_when_due(self) -> None:
        view = self._store.view
        if is_rebuild_due(view.live, view.dead, self._settings) or (
            self._must_rebuild and view.dead
        ):
            await self._store.compact()

    async def _rebuild_when_due(self) -> None:
        figures = self._mirror.figures
        if figures is None or self._closing.is_set():
            return
        if self._must_rebuild or is_rebuild_due(figures.count, figures.deleted, self._settings):
            self.is_rebuilding = True
            self._tell("info", "index.rebuilding", f"{figures.deleted} deleted vectors go")
            await self._mirror.empty()
            self._must_rebuild = False
            await self._mirror.catch_up(self._closing)

    async def _save_when_due(self) -> None:
        changes, graph = self._mirror.changes, self._mirror.graph
        size, now = self._store.view.live, time.monotonic()
        if graph is not None and (
            self.is_rebuilding or is_checkpoint_due(changes, size, now, self._settings)
        ):
            changes.clear()
            try:
                await graph.checkpoint()
            except StorageError as exc:  # a full disk; what is in memory is as good as before
                changes.count(time.monotonic(), added=1)
                self._tell_once("index.graph_unsaved", exc.message)

    async def _probe_when_due(self) -> None:
        now, applied = time.monotonic(), self._mirror.applied
        if self._probe_at is None or now < self._probe_at or applied is None:
            return
        self._probe_at = now + self._settings.probe_s
        sample = await asyncio.to_thread(take_sample, self._store.view, applied)
        if self._closing.is_set() or not len(sample.queries):
            return
        found, _ = await self.propose(sample.queries, PROBE_K + 1, None)
        self.recall = recall_of(sample, found)
        wider = next_ef(self.ef, self.recall)
        if not self._settings.ef_search and wider != self.ef:
            self.ef = wider
            self._probe_at = now + min(_PROBE_AGAIN_S, self._settings.probe_s)

    async def _audit_when_asked(self) -> None:
        if self._errands.has_audits:
            lacking = await self._mirror.audit()
            await self._mirror.catch_up(self._closing)
            self._errands.finish_audits(lacking)

    def _failed(self, exc: Exception) -> None:
        if not (isinstance(exc, GraphLostError) and self._was_lost):
            self._tell_once("index.graph_failed", f"the graph is not kept up: {exc}")
        self._mirror.distrust()
        self._must_rebuild = False
        self._errands.refuse(str(exc))

    def _lost(self) -> None:
        if not self._was_lost:
            self._was_lost = True
            self._tell("warning", "index.graph_lost", "the graph is lost; searches are exact")
        self._woken.set()

    async def _pause(self) -> None:
        """Wait before the next try, longer each time; writes do not cut it short."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), self._retry_s)
        self._retry_s = min(2 * self._retry_s, _LAST_RETRY_S)

    async def _sleep(self) -> None:
        """Until something is stored, asked for, or due."""
        now = time.monotonic()
        timeout_s = wait_s(self._mirror.changes, self._probe_at, now, self._settings)
        if self._mirror.graph is None or timeout_s == float("inf"):
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
