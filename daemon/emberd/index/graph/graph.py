"""The graph of a collection as its owner sees it: calls to a process of its own.

hnswlib holds the interpreter's lock for seconds while it saves and loads, and a damaged file can
crash it; here that costs a process, which is started again, and never the daemon.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emberd.errors import GraphLostError
from emberd.index.graph.keeper import Notify, WorkerKeeper
from emberd.index.graph.options import GraphOptions, GraphStats
from emberd.index.graph.rows import checked_labels, checked_number, checked_vectors, padded

__all__ = ["Graph"]

Rows = tuple[NDArray[np.uint64], NDArray[np.float32]]

# A query waits about as long for a chunk that is being added. On two cores chunks of 10 ms add at
# 84% of hnswlib's own rate, of 20 ms at 88%, of 40 ms at 96%.
_CHUNK_S = 0.025
_MOST_ROWS = 2_048
_ROWS_A_THREAD = 8  # hnswlib adds up to 4 on one thread alone
_QUERIES = 128  # of one request: others come in between
_INLINE_BYTES = 1 << 20  # more than this is checked on a thread


def _say_nothing(
    event: str,
    message: str = "",
    *,
    level: Literal["info", "warning", "error"] = "info",
    **fields: Any,
) -> None:
    del event, message, level, fields


class Graph:
    """Approximate nearest vectors by label. One event loop uses it, and nothing blocks that.

    Labels are whole numbers of 1 or more; one that was deleted never comes back. Every method
    raises GraphLostError while there is no worker; the owner then searches exactly.
    """

    def __init__(self, keeper: WorkerKeeper, *, dim: int, ef_search: int, threads: int) -> None:
        """Use `open`."""
        self._keeper = keeper
        self._dim = dim
        self._ef_search = ef_search
        self._saving = asyncio.Lock()
        self._fewest_rows = self._chunk_rows = max(32, _ROWS_A_THREAD * threads)
        self._is_closing = False
        self._closed = asyncio.Event()

    @classmethod
    async def open(
        cls,
        folder: Path,
        *,
        dim: int,
        options: GraphOptions | None = None,
        notify: Notify = _say_nothing,
        on_reload: Callable[[int], None] = lambda covered: None,
    ) -> Graph:
        """Start the worker on the newest valid checkpoint in `folder`, or with nothing.

        A checkpoint that fails is set aside and told through `notify`. `on_reload(covered)` is
        called each time that the worker was lost and its successor has loaded a checkpoint, before
        anything else reaches it: newer labels must be added again. Deletions are made again by
        the graph itself. Raises GraphLostError, StorageError.
        """
        options = options or GraphOptions()
        opening = _opening(folder, dim, options)
        keeper = WorkerKeeper(opening, notify, on_reload)
        graph = cls(keeper, dim=dim, ef_search=options.ef_search, threads=opening["threads"])
        try:
            await graph._keeper.open()
        except BaseException:
            await graph.close(checkpoint=False)
            raise
        return graph

    @property
    def covered(self) -> int:
        """The highest label in the newest checkpoint; 0 where there is none.

        Every label up to it is in the graph or deleted, given that labels are added in ascending
        order; `reconcile` asks for no order.
        """
        return int(self._keeper.figures.get("covered", 0))

    async def add(self, labels: ArrayLike, vectors: ArrayLike) -> None:
        """Add `(n,)` labels with `(n, dim)` L2-normalised vectors; known labels are skipped.

        In chunks, so that searches are answered in between. Raises InvalidParamsError before
        anything is added. After a GraphLostError part of it may have been: reconcile.
        """
        chunks = self._chunks(*await self._checked(labels, vectors))
        # One chunk waits while one is added, so that the worker never waits for the next.
        await asyncio.gather(self._add_in_turn(chunks), self._add_in_turn(chunks))

    async def mark_deleted(self, labels: ArrayLike) -> None:
        """Delete labels for good, those too that are not in the graph yet."""
        unwanted = checked_labels(labels, "labels")
        self._keeper.deletions.note(unwanted)
        await self._keeper.call("delete", arrays=(unwanted,))

    async def reconcile(self, live: ArrayLike) -> NDArray[np.uint64]:
        """Delete every label that is not in `live`; returns, ascending, those to be added."""
        frame = await self._keeper.call("reconcile", arrays=(checked_labels(live, "live"),))
        missing, deleted = frame.arrays
        self._keeper.deletions.note(deleted)
        return missing

    async def labels(self) -> NDArray[np.uint64]:
        """The labels that can be found, ascending."""
        return (await self._keeper.call("labels")).arrays[0]

    async def search(
        self, queries: ArrayLike, k: int, *, ef: int | None = None, allowed: ArrayLike | None = None
    ) -> Rows:
        """The `k` best for each of `(q, dim)` L2-normalised queries, of `allowed` labels alone
        where given: `(labels (q, k'), cosines (q, k'))`, best first.

        k' is k, or less where no query can have as many; what one query lacks is label 0 with
        the score -inf. Raises InvalidParamsError.
        """
        rows = checked_vectors(queries, self._dim, "queries")
        fields = {
            "k": checked_number(k, "k"),
            "ef": self._ef_search or None if ef is None else checked_number(ef, "ef"),
        }
        filters = () if allowed is None else (checked_labels(allowed, "allowed"),)
        parts = []
        for start in range(0, max(1, len(rows)), _QUERIES):
            part = rows[start : start + _QUERIES]
            frame = await self._keeper.call("search", fields, (part, *filters))
            parts.append((frame.arrays[0], frame.arrays[1]))
        return padded(parts)

    async def checkpoint(self) -> int:
        """Save what changed since the newest checkpoint; returns `covered`. Searches go on.

        Raises StorageError; the checkpoints that are there stay.
        """
        async with self._saving:
            mark, created = self._keeper.deletions.mark, self._keeper.figures.get("created")
            frame = await self._keeper.call("checkpoint")
            if frame.fields["created"] != created:
                self._keeper.deletions.saved(mark)
            return self.covered

    async def clear(self) -> None:
        """Forget every label and every checkpoint. Raises StorageError."""
        await self._keeper.call("clear")
        self._keeper.deletions.clear()

    def stats(self) -> GraphStats:
        """Costs nothing: the figures came with the last answer."""
        keeper, figures = self._keeper, self._keeper.figures
        created = figures.get("created")
        return GraphStats(
            state=keeper.state,
            pid=keeper.pid,
            count=figures.get("count", 0),
            deleted=figures.get("deleted", 0),
            capacity=figures.get("capacity", 0),
            memory_bytes=figures.get("memory_bytes", 0),
            covered=self.covered,
            checkpoint_age_s=max(0.0, time.time() - created) if created else None,
            restarts=keeper.restarts,
        )

    async def close(self, *, checkpoint: bool = True) -> None:
        """End the worker, with a last checkpoint if asked for; calls that wait are refused.

        Raises StorageError where that checkpoint fails; the worker is ended all the same.
        """
        if self._is_closing:
            await self._closed.wait()
            return
        self._is_closing = True
        try:
            if checkpoint and self._keeper.state == "ok":
                with contextlib.suppress(GraphLostError):
                    await self.checkpoint()
        finally:
            await self._keeper.close()
            self._closed.set()

    def _chunks(self, labels: NDArray[np.uint64], vectors: NDArray[np.float32]) -> Iterator[Rows]:
        start = 0
        while start < len(labels):
            end = start + self._chunk_rows
            yield labels[start:end], vectors[start:end]
            start = end

    async def _add_in_turn(self, chunks: Iterator[Rows]) -> None:
        for chunk in chunks:
            frame = await self._keeper.call("add", arrays=chunk)
            wanted = round((self._chunk_rows + _CHUNK_S * frame.fields["rows_per_s"]) / 2)
            self._chunk_rows = min(max(self._fewest_rows, wanted), _MOST_ROWS)

    async def _checked(self, labels: ArrayLike, vectors: ArrayLike) -> Rows:
        # A list's size is not known; an array's decides.
        if getattr(vectors, "nbytes", 0) > _INLINE_BYTES:
            rows = await asyncio.to_thread(checked_vectors, vectors, self._dim, "vectors")
        else:
            rows = checked_vectors(vectors, self._dim, "vectors")
        return checked_labels(labels, "labels", len(rows)), rows


def _opening(folder: Path, dim: int, options: GraphOptions) -> dict[str, Any]:
    """The worker's first request."""
    return {
        "folder": str(folder.absolute()),
        "dim": dim,
        "m": options.m,
        "ef_construction": options.ef_construction,
        "threads": options.threads or _cores(),
        "forks": options.forks,
    }


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    return len(affinity(0)) if affinity else os.cpu_count() or 1
