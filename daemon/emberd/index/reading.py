"""Documents out of a snapshot: by id, page by page, and those that need a new vector."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emberd.index.documents import Document, Part
from emberd.index.filters import Node
from emberd.index.store.snapshot import Snapshot

__all__ = ["damaged_documents", "documents_of", "page_of"]

_ALL: frozenset[Part] = frozenset({"text", "metadata"})


def documents_of(
    snapshot: Snapshot, ids: Sequence[str], include: frozenset[Part]
) -> list[Document | None]:
    """The documents of these ids, in their order; None where there is none."""
    labels = snapshot.labels_of(ids)
    found = {each.label: each for each in _read(snapshot, list(labels.values()), include)}
    return [found.get(labels.get(each, 0)) for each in ids]


def page_of(
    snapshot: Snapshot, node: Node | None, limit: int, after: int, include: frozenset[Part]
) -> tuple[list[Document], str | None]:
    """Up to `limit` documents behind the label `after`, and the cursor of the next page."""
    if node is None:
        rows = snapshot.execute(
            "SELECT label FROM documents WHERE label > ? ORDER BY label LIMIT ?",
            (after, limit + 1),
        )
        labels = [label for (label,) in rows]
    else:
        found: NDArray[np.uint64] = snapshot.labels_where(node)
        labels = found[np.searchsorted(found, np.uint64(after), side="right") :][
            : limit + 1
        ].tolist()
    page = labels[:limit]
    cursor = str(page[-1]) if len(labels) > limit else None
    return _read(snapshot, page, include), cursor


def damaged_documents(snapshot: Snapshot) -> list[Document]:
    """Those without a usable vector, with text and metadata."""
    view = snapshot.view
    if view.count == view.live:
        return []
    labels = np.setdiff1d(snapshot.all_labels(), view.labels[view.alive])
    return _read(snapshot, labels.tolist(), _ALL)


def _read(snapshot: Snapshot, labels: Sequence[int], include: frozenset[Part]) -> list[Document]:
    records = snapshot.records(labels)
    vectors = (
        snapshot.view.vectors_of(np.array(labels, np.uint64))
        if "vector" in include
        else [None] * len(labels)
    )
    return [
        Document(
            id=records[label].id,
            text=records[label].text if "text" in include else None,
            metadata=records[label].metadata() if "metadata" in include else {},
            vector=vector,
            label=label,
        )
        for label, vector in zip(labels, vectors, strict=True)
        if label in records
    ]
