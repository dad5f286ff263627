"""The graph of a collection: hnswlib in a process of its own, and checkpoints of it on the disk.

The worker imports modules of this package; what only the daemon needs is imported when asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emberd.index.graph.options import GraphOptions, GraphState, GraphStats

__all__ = ["Graph", "GraphOptions", "GraphState", "GraphStats"]

if TYPE_CHECKING:
    from emberd.index.graph.graph import Graph


def __getattr__(name: str) -> Any:
    if name == "Graph":
        # asyncio, which the worker does without.
        from emberd.index.graph.graph import Graph  # noqa: PLC0415

        return Graph
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
