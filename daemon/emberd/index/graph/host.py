"""One graph and its checkpoints, as the worker's requests see them."""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberd.index.graph.checkpoints import Checkpoints, Notice
from emberd.index.graph.content import GraphContent
from emberd.index.graph.hnsw import HnswGraph
from emberd.index.graph.shelf import VectorShelf
from emberd.index.graph.slots import Labels, Slots

__all__ = ["GraphHost", "HostOptions"]

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostOptions:
    """What the owner says when it opens a graph."""

    folder: str
    dim: int
    m: int
    ef_construction: int
    threads: int
    distrusted: list[int]
    """Checkpoints that must not be read."""


class GraphHost:
    """Opens the newest checkpoint, or begins with nothing. Raises OSError, RuntimeError."""

    def __init__(self, options: HostOptions, notice: Notice) -> None:
        self._options = options
        self.checkpoints = Checkpoints(Path(options.folder), options.dim, options.threads, notice)
        self._changes = self._saved_changes = 0
        self._covered, self._created = 0, 0.0
        self._rows_per_s = 0.0
        loaded = self.checkpoints.load(options.distrusted)
        if loaded is None:
            self.content = self._empty()
        else:
            self.content = loaded.content
            self._covered, self._created = loaded.manifest.covered, loaded.manifest.created

    @property
    def changes(self) -> int:
        """Writes so far."""
        return self._changes

    @property
    def is_saved(self) -> bool:
        """Whether the newest checkpoint is the graph as it is."""
        return self._changes == self._saved_changes

    def state(self) -> dict[str, Any]:
        """Figures for the owner."""
        slots = self.content.slots
        return {
            "count": slots.live,
            "deleted": slots.count - slots.live,
            "capacity": self.content.graph.capacity,
            "memory_bytes": _memory_bytes(),
            "covered": self._covered,
            "created": self._created,
            "rows_per_s": self._rows_per_s,
        }

    def add(self, labels: Labels, vectors: Vectors) -> int:
        """See GraphContent."""
        started_s = time.perf_counter()
        added = self.content.add(labels, vectors)
        if added:
            self._changes += 1
            self._rows_per_s = added / (time.perf_counter() - started_s)
        return added

    def delete(self, labels: Labels) -> int:
        """See GraphContent."""
        deleted = self.content.delete(labels)
        self._changes += deleted > 0
        return deleted

    def reconcile(self, live: Labels) -> tuple[Labels, Labels]:
        """See GraphContent."""
        missing, deleted = self.content.reconcile(live)
        self._changes += len(deleted) > 0
        return missing, deleted

    def labels(self) -> Labels:
        """Labels that are not deleted, ascending."""
        slots = self.content.slots
        return np.sort(slots.labels[slots.is_live])

    def clear(self) -> None:
        """Forget everything, on the disk too."""
        self.checkpoints.clear()
        self.content = self._empty()
        self._covered, self._created = 0, 0.0
        self._saved_changes = self._changes

    def note_saved(self, number: int, changes: int) -> None:
        """A checkpoint holds the graph as it was after `changes` writes."""
        manifest = self.checkpoints.manifest(number)
        self._covered, self._created = manifest.covered, manifest.created
        self._saved_changes = changes
        self.content.shelf.rebase(self.checkpoints.map(number))

    def _empty(self) -> GraphContent:
        options = self._options
        graph = HnswGraph(options.dim, options.m, options.ef_construction, options.threads)
        return GraphContent(graph, Slots(), VectorShelf(options.dim), options.threads)


def _memory_bytes() -> int:
    """Of this process, in RAM at present; on macOS the most that it ever was."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1_024
    return pages * resource.getpagesize()
