"""The graph as its owner sees it. emberd's own lives in a process of its own; tests have another.

Every method may raise GraphLostError. A graph that was lost comes back by itself, perhaps with
less in it, and says so through `on_reload`: `reconcile` then tells what is missing. One that is
`off` was given up and can only be closed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["GraphFigures", "GraphState", "OnReload", "OpenGraph", "VectorGraph"]

GraphState = Literal["off", "loading", "ok", "restarting"]

Labels = NDArray[np.uint64]
Vectors = NDArray[np.float32]


class GraphFigures(Protocol):
    """What a graph says about itself."""

    @property
    def state(self) -> GraphState: ...

    @property
    def count(self) -> int:
        """Vectors that can be found."""

    @property
    def deleted(self) -> int:
        """Vectors that cannot, and still take room."""

    @property
    def memory_bytes(self) -> int: ...

    @property
    def checkpoint_age_s(self) -> float | None: ...

    @property
    def restarts(self) -> int: ...


class VectorGraph(Protocol):
    """Owned by the event loop; nothing in it blocks."""

    async def reconcile(self, live: Labels) -> Labels:
        """Delete what is not in `live`; returns, ascending, those of it that are not there."""

    async def add(self, labels: Labels, vectors: Vectors) -> None:
        """Add vectors (n, dim); labels that are there already are left alone."""

    async def mark_deleted(self, labels: Labels) -> None:
        """Take labels out; unknown ones are ignored."""

    async def search(
        self, queries: Vectors, k: int, *, ef: int | None = None, allowed: Labels | None = None
    ) -> tuple[Labels, Vectors]:
        """`(labels (q, k'), scores (q, k'))`, best first, label 0 where there is none."""

    async def checkpoint(self) -> int:
        """Save it; searches go on meanwhile."""

    async def clear(self) -> None:
        """Forget everything, the checkpoints too."""

    def stats(self) -> GraphFigures: ...

    async def close(self, *, checkpoint: bool) -> None: ...


OnReload = Callable[[int], None]
"""Called when the graph came back with what its checkpoint covers, before anyone can ask it."""

OpenGraph = Callable[[Path, int, OnReload], Awaitable[VectorGraph]]
"""Open the graph in a folder, of so many dimensions, as it was at its newest checkpoint."""
