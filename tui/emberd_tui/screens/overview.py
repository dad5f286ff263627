"""The overview: its clients are rows; it asks for the past, so that its plots start full."""

from __future__ import annotations

from collections.abc import Sequence

from emberd_tui.asks import AskHistory
from emberd_tui.frame import Frame
from emberd_tui.names import ScreenName
from emberd_tui.screens.spec import Spec, is_match
from emberd_tui.view import Row

__all__ = ["OVERVIEW"]

# Five minutes by the second, and the hour before them more coarsely.
_WINDOWS_S = (300.0, 3_600.0)


def _wants(frame: Frame) -> tuple[AskHistory, ...]:
    # One after the other: what is finer must be there first.
    known = frame.answers.pasts + 1
    return tuple(AskHistory(window) for window in _WINDOWS_S[:known])


def _rows(frame: Frame) -> Sequence[Row]:
    by_id = {client.id: client for client in frame.snapshot.clients} if frame.snapshot else {}
    return [
        Row(f"client {ident}", by_id[ident])
        for ident in frame.client_order
        if ident in by_id and is_match(frame.view.text, by_id[ident].name or f"client {ident}")
    ]


def _leads(row: Row) -> tuple[ScreenName, str]:
    return "requests", row.data.name or row.key


OVERVIEW = Spec(rows=_rows, wants=_wants, leads=_leads, words="filter", is_optional=True)
