"""What a run is asked for, and what it tells: options, progress, summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Failure", "IndexOptions", "Phase", "Progress", "Summary"]

Phase = Literal["looking", "indexing", "removing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexOptions:
    """How to index."""

    model: str | None = None
    """For a collection that is made by this run; None is the daemon's default."""
    globs: Sequence[str] = ()
    """Only files that fit one of these patterns."""
    excludes: Sequence[str] = ()
    """No files or folders that fit one of these patterns."""
    max_bytes: int = 2 << 20
    """Larger files are left out."""
    chunk_tokens: int = 256
    """Largest chunk; the model's window bounds it too."""
    dry_run: bool = False
    """Write nothing."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be indexed, or a folder (with a closing slash) not read."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is."""

    phase: Phase
    files: int = 0
    files_total: int = 0
    chunks: int = 0
    """Written so far."""
    hits: int = 0
    """Of them, those whose vectors were in the cache."""
    elapsed_s: float = 0.0


@dataclass(slots=True, kw_only=True)
class Summary:
    """What a run did."""

    collection: str
    model: str = ""
    is_dry_run: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    """Files: new, changed, unchanged, removed."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Files and folders left out, by reason."""
    failures: list[Failure] = field(default_factory=list)
    chunks: int = 0
    """Written."""
    removed_chunks: int = 0
    hits: Counter[str] = field(default_factory=Counter)
    """Chunks whose vectors were in the cache, by tier."""
    computed: int = 0
    read_bytes: int = 0
    elapsed_s: float = 0.0
    kept: int = 0
    """Files of the collection that were not found, and kept because nothing was found at all."""

    @property
    def files(self) -> int:
        """Files that are in the collection now because of this run or an earlier one."""
        return sum(self.counts[name] for name in ("new", "changed", "unchanged"))

    @property
    def hit_ratio(self) -> float:
        """Share of the vectors that came from the cache."""
        total = self.hits.total() + self.computed
        return self.hits.total() / total if total else 0.0
