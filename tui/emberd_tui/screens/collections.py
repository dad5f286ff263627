"""The collections, and the hits of a search over the selected one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from emberd.wire.snapshot import CollectionStats
from emberd_tui.asks import AskSearch
from emberd_tui.frame import Frame
from emberd_tui.screens.spec import Spec
from emberd_tui.view import Row

__all__ = ["INDEX", "collection_rows", "is_searching", "selected_collection", "wanted_search"]

_ORDERS: dict[str, Callable[[CollectionStats], Any]] = {
    "collection": lambda _: 0,
    "count": lambda row: -row.count,
    "size": lambda row: -row.size_bytes,
    "queries": lambda row: -row.queries,
    "p99": lambda row: -row.latency.p99_ms,
}


def collection_rows(frame: Frame) -> Sequence[Row]:
    """Every collection, in the order that was chosen."""
    found = frame.snapshot.index.collections if frame.snapshot else []
    order = _ORDERS[INDEX.sorts[frame.view.sort]]
    ordered = sorted(found, key=lambda row: (order(row), row.name))
    return [Row(collection.name, collection) for collection in ordered]


def selected_collection(frame: Frame) -> CollectionStats | None:
    """The one that is shown and searched."""
    rows = collection_rows(frame)
    chosen = next((row for row in rows if row.key == frame.view.selected), None)
    found = chosen or (rows[0] if rows else None)
    return None if found is None else found.data


def is_searching(frame: Frame) -> bool:
    """A search lies over the selected collection."""
    prompt = frame.view.prompt
    return bool(frame.view.text) or (prompt is not None and prompt.purpose == "search")


def wanted_search(frame: Frame) -> AskSearch | None:
    """What is searched for, where anything is."""
    found = selected_collection(frame)
    if found is None or not frame.view.text.strip():
        return None
    return AskSearch(found.name, frame.view.text.strip())


def _rows(frame: Frame) -> Sequence[Row]:
    if not is_searching(frame):
        return collection_rows(frame)
    wanted, of = wanted_search(frame), frame.answers.hits_of
    if wanted is None or of is None or of.collection != wanted.collection:
        return ()
    return [Row(hit.id, hit) for hit in frame.answers.hits]


def _wants(frame: Frame) -> tuple[AskSearch, ...]:
    wanted = wanted_search(frame)
    return () if wanted is None else (wanted,)


INDEX = Spec(
    rows=_rows,
    wants=_wants,
    sorts=tuple(_ORDERS),
    opens=True,
    words="search",
    is_picking=is_searching,
)
