"""What goes into a collection and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from emberd.errors import InvalidParamsError

__all__ = [
    "DEFAULT_INCLUDE",
    "CheckReport",
    "CollectionInfo",
    "Document",
    "Hit",
    "Notify",
    "Part",
    "UpsertResult",
    "check_include",
]

Part = Literal["text", "metadata", "vector", "snippet"]
DEFAULT_INCLUDE: frozenset[Part] = frozenset({"text", "metadata"})

Notify = Callable[[str, str, str], None]
"""Level ("info", "warning", "error"), stable event name, message; called from any thread."""


class Document(msgspec.Struct, frozen=True):
    """A stored document; `text` and `vector` are None where there is none or none was asked for.

    `vector` is (dim,) float32, as it is kept. `label` grows with every change of the document.
    """

    id: str
    text: str | None
    metadata: dict[str, Any]
    vector: NDArray[np.float32] | None
    label: int


class Hit(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A document that a search found.

    `score` is the cosine, in a hybrid search the fused score (at most about 0.033). `explain` has
    what made it: the plan, both ranks and the cosine.
    """

    id: str
    score: float
    text: str | None = None
    metadata: dict[str, Any] | None = None
    vector: NDArray[np.float32] | None = None
    snippet: str | None = None
    explain: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class UpsertResult:
    """What an upsert changed; `version` is the collection's after it."""

    inserted: int
    updated: int
    unchanged: int
    version: int


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """A collection as a list shows it; `state` is that of its stats."""

    name: str
    model: str
    fingerprint: str
    dim: int
    dtype: str
    created: float
    count: int
    size_bytes: int
    """On the disk."""
    state: str


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check of a collection saw: `found` is what was wrong, `mended` what was done."""

    name: str
    documents: int
    vectors: int
    indexed: int
    found: list[str] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)
    damaged_ids: list[str] = field(default_factory=list)
    """Documents whose vector must be computed again; searches leave them out until then."""

    @property
    def is_sound(self) -> bool:
        return not self.found


def check_include(include: Collection[str]) -> frozenset[Part]:
    """The parts that were asked for. Raises InvalidParamsError for one that there is not."""
    known = get_args(Part)
    for each in include:
        if each not in known:
            raise InvalidParamsError(
                f"include: {each!r} is no part of a document; there are {', '.join(known)}.",
                details={"field": "include"},
            )
    return frozenset(include)  # type: ignore[arg-type]
