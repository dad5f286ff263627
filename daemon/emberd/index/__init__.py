"""Collections: documents, their vectors and words, and searching them.

`store/` is the truth (SQLite and a file of vectors), `graph/` a process with an index that can be
lost at any time, `search/` plans and answers, `filters/` turns `where` maps into SQL, `upkeep/`
keeps the graph up to the truth.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emberd.index.collections import Collections
    from emberd.index.documents import (
        DEFAULT_INCLUDE,
        CheckReport,
        CollectionInfo,
        Document,
        Hit,
        UpsertResult,
    )

__all__ = [
    "DEFAULT_INCLUDE",
    "CheckReport",
    "CollectionInfo",
    "Collections",
    "Document",
    "Hit",
    "UpsertResult",
]


def __getattr__(name: str) -> Any:
    """The names above, when they are first used: the graph's process needs none of them, and must
    set up its threads before NumPy is imported."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "collections" if name == "Collections" else "documents"
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
