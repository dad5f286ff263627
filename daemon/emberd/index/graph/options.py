"""How a graph is built and searched, and what can be said of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["GraphOptions", "GraphState", "GraphStats"]

GraphState = Literal["ok", "loading", "restarting", "off"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphOptions:
    """The defaults suit sentence embeddings of some hundred dimensions."""

    m: int = 16
    """Links of a vector; a checkpoint keeps the value that it was built with."""
    ef_construction: int = 200
    """Candidates looked at for each vector that is added; likewise."""
    ef_search: int = 0
    """Candidates looked at in a search that names none; 0 means 64, and more for a large k."""
    threads: int = 0
    """Of the graph's process; 0 means one a core."""
    forks: bool = True
    """Save in a forked child where the system can; else nothing is answered meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphStats:
    """Of the moment, as the process last said."""

    state: GraphState
    pid: int | None = None
    count: int = 0
    """Vectors that can be found."""
    deleted: int = 0
    """Vectors that only hold the graph together; a rebuild lets go of them."""
    capacity: int = 0
    memory_bytes: int = 0
    """Of the process, the checkpoint's pages in the page cache included."""
    covered: int = 0
    """The highest label in the newest checkpoint; 0 where there is none."""
    checkpoint_age_s: float | None = None
    restarts: int = 0
