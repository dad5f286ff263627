"""What the tests of collections share: vectors, folders in RAM, a graph without a process."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emberd.config import IndexSettings
from emberd.errors import GraphLostError, StorageError
from emberd.index import Collections

DIM = 8


def ram_folder() -> str | None:
    """A folder in RAM where the system has one: the tests commit thousands of times."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


@dataclass
class Told:
    """A `notify` that remembers."""

    notes: list[tuple[str, str, str]]

    def __call__(self, level: str, event: str, message: str) -> None:
        self.notes.append((level, event, message))

    def text(self) -> str:
        return "\n".join(f"{level} {event} {message}" for level, event, message in self.notes)


def unit(*seeds: int, dim: int = DIM) -> np.ndarray:
    """One unit vector a seed, (n, dim) float32, always the same."""
    rows = [np.random.default_rng(seed).standard_normal(dim) for seed in seeds]
    array = np.array(rows, np.float32).reshape(len(seeds), dim)
    return array / np.linalg.norm(array, axis=1, keepdims=True)


def many(count: int, *, dim: int = DIM, seed: int = 0) -> np.ndarray:
    array = np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)
    return array / np.linalg.norm(array, axis=1, keepdims=True)


@asynccontextmanager
async def opened(folder: Path, *, settings=None, told=None, graph=None):
    """Open collections in a folder, closed at the end."""
    collections = Collections(
        folder, settings or IndexSettings(), told or Told([]), open_graph=graph
    )
    await collections.open()
    try:
        yield collections
    finally:
        await collections.close()


@asynccontextmanager
async def collection(folder: Path, *, name="docs", dim=DIM, **options):
    """The same with one collection in it."""
    async with opened(folder, **options) as collections:
        if name not in collections.names():
            await collections.create(name, model="m", fingerprint="f", dim=dim)
        yield collections


@dataclass(frozen=True)
class Figures:
    state: str
    count: int
    deleted: int
    memory_bytes: int = 0
    checkpoint_age_s: float | None = None
    restarts: int = 0


class MemoryGraph:
    """A VectorGraph that searches exactly; `lose` does to it what kill -9 does to a process."""

    def __init__(self, folder: Path, dim: int, on_reload: Callable[[int], None]) -> None:
        self.file = folder / "memory-graph.npz"
        self.dim = dim
        self.state = "ok"
        self.restarts = 0
        self.searches = self.clears = self.checkpoints = 0
        self.ef: list[int | None] = []
        self.allowed: list[np.ndarray | None] = []
        self.full_disk = False
        self.live: dict[int, np.ndarray] = {}
        self.deleted: set[int] = set()
        self._on_reload = on_reload
        self.load()

    def load(self) -> None:
        self.live, self.deleted = {}, set()
        if self.file.exists():
            with np.load(self.file) as stored:
                self.live = dict(zip(stored["labels"].tolist(), stored["vectors"], strict=True))

    def lose(self) -> None:
        """Gone, until `come_back`."""
        self.state = "restarting"

    def come_back(self) -> None:
        """There again, as it was at its checkpoint."""
        self.restarts += 1
        self.load()
        self.state = "ok"
        self._on_reload(max(self.live, default=0))

    async def _call(self) -> None:
        await asyncio.sleep(0)
        if self.state != "ok":
            raise GraphLostError("the graph's process is gone")

    async def reconcile(self, live: np.ndarray) -> np.ndarray:
        await self._call()
        wanted = set(live.tolist())
        self._delete(set(self.live) - wanted)
        return np.array(sorted(wanted - set(self.live)), np.uint64)

    async def add(self, labels: np.ndarray, vectors: np.ndarray) -> None:
        await self._call()
        assert vectors.dtype == np.float32
        for label, vector in zip(labels.tolist(), vectors, strict=True):
            self.live.setdefault(label, vector)

    async def mark_deleted(self, labels: np.ndarray) -> None:
        await self._call()
        self._delete(set(labels.tolist()))

    async def search(self, queries, k, *, ef=None, allowed=None):
        await self._call()
        self.searches += 1
        self.ef.append(ef)
        self.allowed.append(allowed)
        labels = np.array(sorted(self.live), np.uint64)
        if allowed is not None:
            labels = np.intersect1d(labels, allowed)
        count = min(k, len(labels))
        if not count:
            return np.empty((len(queries), 0), np.uint64), np.empty((len(queries), 0), np.float32)
        scores = queries @ np.array([self.live[each] for each in labels.tolist()]).T
        order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
        return labels[order], np.take_along_axis(scores, order, axis=1)

    async def checkpoint(self) -> int:
        await self._call()
        if self.full_disk:
            raise StorageError("no space left")
        self.checkpoints += 1
        labels = sorted(self.live)
        self.file.parent.mkdir(exist_ok=True)
        fresh = self.file.with_name("new.npz")
        np.savez(
            fresh,
            labels=np.array(labels, np.uint64),
            vectors=np.array([self.live[each] for each in labels], np.float32).reshape(
                -1, self.dim
            ),
        )
        fresh.rename(self.file)
        return max(labels, default=0)

    async def clear(self) -> None:
        await self._call()
        self.clears += 1
        self.live, self.deleted = {}, set()
        self.file.unlink(missing_ok=True)

    def stats(self) -> Figures:
        return Figures(
            state=self.state,
            count=len(self.live),
            deleted=len(self.deleted),
            restarts=self.restarts,
        )

    async def close(self, *, checkpoint: bool) -> None:
        if checkpoint and self.state == "ok":
            await self.checkpoint()
        self.state = "off"

    def _delete(self, labels: set[int]) -> None:
        self.deleted |= labels & set(self.live)
        for label in labels:
            self.live.pop(label, None)


class Graphs:
    """Opens MemoryGraphs and remembers them: pass it as `graph`."""

    def __init__(self) -> None:
        self.opened: list[MemoryGraph] = []
        self.fails = False

    async def __call__(
        self, folder: Path, dim: int, on_reload: Callable[[int], None]
    ) -> MemoryGraph:
        if self.fails:
            raise GraphLostError("it does not start")
        graph = MemoryGraph(folder, dim, on_reload)
        self.opened.append(graph)
        return graph

    @property
    def last(self) -> MemoryGraph:
        return self.opened[-1]


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(dir=ram_folder(), prefix="emberd-index-")
