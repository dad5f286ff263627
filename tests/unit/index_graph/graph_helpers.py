"""Vectors, exact answers and graphs for the tests of this folder."""

from __future__ import annotations

import asyncio
import os
import select
import signal
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from emberd.index.graph import Graph, GraphOptions
from emberd.index.graph.content import GraphContent
from emberd.index.graph.hnsw import HnswGraph
from emberd.index.graph.shelf import VectorShelf
from emberd.index.graph.slots import Slots

DIM = 24
WAIT_S = 20.0


def clustered(count: int, dim: int = DIM, *, seed: int = 0, centres: int = 40) -> np.ndarray:
    """`(count, dim) float32`, L2-normalised, around some centres."""
    chance = np.random.default_rng(seed)
    middles = np.random.default_rng(999).standard_normal((centres, dim))
    vectors = middles[chance.integers(0, centres, count)]
    vectors = vectors + 0.6 * chance.standard_normal((count, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def numbered(first: int, count: int) -> np.ndarray:
    return np.arange(first, first + count, dtype=np.uint64)


def exact(queries: np.ndarray, labels: np.ndarray, vectors: np.ndarray, k: int) -> np.ndarray:
    """The true labels, best first, `(q, k)`."""
    return labels[np.argsort(-(queries @ vectors.T), axis=1, kind="stable")[:, :k]]


def recall(found: np.ndarray, true: np.ndarray) -> float:
    hits = [len(set(row) & set(right)) for row, right in zip(found, true, strict=True)]
    return sum(hits) / true.size


def make_content(count: int = 0, *, dim: int = DIM, threads: int = 2) -> GraphContent:
    """A graph in this process, with labels 1, 2, 3 ..."""
    graph = HnswGraph(dim, m=16, ef_construction=100, threads=threads)
    content = GraphContent(graph, Slots(), VectorShelf(dim), threads)
    if count:
        content.add(numbered(1, count), clustered(count, dim))
    return content


class Events(list):
    """What a graph told: `(event, message, fields)`."""

    def __init__(self) -> None:
        super().__init__()
        self._has_more = asyncio.Event()

    def __call__(self, event, message="", *, level="info", **fields):
        self.append((event, message, {"level": level, **fields}))
        self._has_more.set()

    async def wait_for(self, event: str) -> None:
        async with asyncio.timeout(WAIT_S):
            while event not in self.names():
                self._has_more.clear()
                await self._has_more.wait()

    def names(self) -> list[str]:
        return [event for event, _, _ in self]


@asynccontextmanager
async def opened(folder: Path, *, dim: int = DIM, checkpoint: bool = False, **more):
    """A graph with a worker of its own, two threads, ended whatever happens."""
    options = {"ef_construction": 100, "threads": 2, **more.pop("options", {})}
    graph = await Graph.open(folder, dim=dim, options=GraphOptions(**options), **more)
    try:
        yield graph
    finally:
        await graph.close(checkpoint=checkpoint)


def kill_worker(graph: Graph) -> None:
    os.kill(graph.stats().pid, signal.SIGKILL)


class Reloads:
    """An `on_reload` that can be waited for."""

    def __init__(self) -> None:
        self._covered: asyncio.Queue[int] = asyncio.Queue()

    def __call__(self, covered: int) -> None:
        self._covered.put_nowait(covered)

    async def next(self) -> int:
        """`covered` of the next reload."""
        return await asyncio.wait_for(self._covered.get(), WAIT_S)


def wait_for_end(pid: int) -> None:
    """Until a process that need not be a child of ours has ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([handle], [], [], WAIT_S)[0], "the process still runs"
    finally:
        os.close(handle)
