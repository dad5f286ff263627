"""What calls give back. Nothing here needs NumPy until vectors are there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from emberd.errors import EmberdError, error_from_wire
from emberd.wire.snapshot import PluginStats

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "CheckReport",
    "CollectionInfo",
    "Document",
    "EmbedResult",
    "Hit",
    "PluginInfo",
    "UpsertResult",
]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class EmbedResult:
    """The vectors of a call, and where they came from."""

    vectors: NDArray[np.float32] = field(repr=False)
    """(n, dim) float32, in the order of the texts; a text that failed has a row of zeros."""
    model: str = ""
    fingerprint: str = ""
    """Of the model: vectors of different fingerprints must not be compared."""
    instead_of: str | None = None
    """The model that was asked for, where it could not be reached and `model` stood in for it."""
    hits: dict[str, int] = field(default_factory=dict)
    """Texts found in the cache, by tier."""
    computed: int = 0
    deduplicated: int = 0
    """Texts equal to another one of this call, or one being computed for another client."""
    tokens: int = 0
    truncated: list[int] = field(default_factory=list)
    """Indexes of the texts that were longer than the model's window and were cut."""
    errors: list[dict[str, Any]] = field(default_factory=list)
    """With `partial=True`: `{index, code, message, retryable, ...}` of each text that failed."""

    @property
    def dim(self) -> int:
        """Numbers a vector."""
        return int(self.vectors.shape[1])

    @property
    def failures(self) -> dict[int, EmberdError]:
        """The errors as exceptions, by the index of the text."""
        return {int(error["index"]): error_from_wire(error) for error in self.errors}

    def __len__(self) -> int:
        return len(self.vectors)


class CollectionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the daemon says of a collection; `collections_list` leaves out what only an open
    collection knows."""

    name: str
    model: str = ""
    fingerprint: str = ""
    """Of the model that made the vectors; another one's cannot be searched here."""
    dim: int = 0
    dtype: str = ""
    """How vectors are kept: f32 or f16."""
    created: float = 0.0
    """Seconds since 1970."""
    state: str = ""
    """closed, loading, ready, rebuilding or degraded."""
    message: str = ""
    """Why it is degraded."""
    documents: int = 0
    deleted: int = 0
    """Documents that are gone and still take room; a rebuild gives it back."""
    damaged: int = 0
    """Documents that wait for their vector to be computed again."""
    version: int = 0
    """Grows with every write."""
    size_bytes: int = 0
    """On disk."""
    memory_bytes: int = 0
    """Of the graph and of the ids."""
    indexed: int = 0
    """Documents in the graph; the rest is searched exactly."""
    rebuild_ratio: float = 1.0
    """Progress of a rebuild."""
    recall: float | None = None
    """Share of the true nearest neighbours that the graph finds, as last probed."""


class UpsertResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a call of `upsert` changed."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    """Documents that were there already, the same in all."""
    version: int = 0
    """The collection's, after the write."""
    hits: dict[str, int] = {}
    """Texts whose vectors came from the cache, by tier."""
    computed: int = 0


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a check of a collection found."""

    ok: bool
    problems: list[str] = []
    mended: list[str] = []
    """Problems that the check has put right."""
    counts: dict[str, int] = {}
    """What was looked at: documents, vectors and so on."""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A document of a collection; what was not asked for is None."""

    id: str
    text: str | None = None
    metadata: dict[str, Any] | None = None
    vector: Any = None
    """(dim,) float32, where it was asked for."""


class Hit(Document, frozen=True, kw_only=True):
    """A document that a search found."""

    score: float = 0.0
    """Cosine similarity; of a hybrid search, the sum of reciprocal ranks."""
    snippet: str | None = None
    """The part of the text that holds the words of the query (hybrid search)."""
    explain: dict[str, Any] | None = None
    """How it was found, where that was asked for."""


class PluginInfo(PluginStats, frozen=True, kw_only=True):
    """A plugin's figures, and what only a look into it tells."""

    settings: dict[str, Any] = msgspec.field(default_factory=dict)
    """Of its section `[plugin.NAME]`, defaults included; secrets are masked."""
    hooks: list[str] = msgspec.field(default_factory=list)
    """The hooks that it implements."""
    folder: str = ""
    """Its own, for its files."""
    last_error: str = ""
