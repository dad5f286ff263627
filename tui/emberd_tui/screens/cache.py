"""The cache's namespaces, and where the vector of one text is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from emberd.wire.snapshot import NamespaceStats
from emberd_tui.asks import Ask, AskInspection, AskTopTexts, ClearNamespace
from emberd_tui.format import count
from emberd_tui.frame import Frame
from emberd_tui.screens.spec import Spec, is_match
from emberd_tui.view import Confirm, Row

__all__ = ["CACHE"]

_ORDERS: dict[str, Callable[[NamespaceStats], Any]] = {
    "size": lambda row: -row.size_bytes,
    "namespace": lambda _: 0,
    "entries": lambda row: -row.entries,
    "hits": lambda row: -row.hits,
}


def _rows(frame: Frame) -> Sequence[Row]:
    spaces = frame.snapshot.cache.namespaces if frame.snapshot else []
    order = _ORDERS[CACHE.sorts[frame.view.sort]]
    return [
        Row(space.name, space)
        for space in sorted(spaces, key=lambda row: (order(row), row.name))
        if is_match(frame.view.text, space.name)
    ]


def _wants(frame: Frame) -> tuple[Ask, ...]:
    rows = _rows(frame)
    top = AskTopTexts(rows[CACHE.index(frame, rows)].key if rows else None)
    return (AskInspection(frame.view.inspected), top) if frame.view.inspected else (top,)


def _confirms(frame: Frame, action: str) -> Confirm | None:
    rows = _rows(frame)
    if action != "disable" or not rows:
        return None
    space: NamespaceStats = rows[CACHE.index(frame, rows)].data
    question = f"Forget the {count(space.entries)} vectors of the namespace {space.name}?"
    return Confirm(question, ClearNamespace(space.name))


CACHE = Spec(rows=_rows, wants=_wants, sorts=tuple(_ORDERS), confirms=_confirms, words="filter")
