"""Requests that have been answered: the last ones, the slowest of the hour, the slow ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from emberd.wire.insight import RequestRow
from emberd_tui.asks import AskRequests
from emberd_tui.frame import Frame
from emberd_tui.screens.spec import Spec, is_match
from emberd_tui.view import Row

__all__ = ["REQUESTS", "selected_request"]

_ORDERS: dict[str, Callable[[RequestRow], Any]] = {
    "": lambda _: 0,
    "time": lambda row: -row.time,
    "took": lambda row: -row.seconds,
    "texts": lambda row: -row.texts,
    "client": lambda row: row.client,
}


def selected_request(frame: Frame) -> RequestRow | None:
    """The one whose stages are shown."""
    rows = _rows(frame)
    if not rows:
        return None
    found: RequestRow = rows[REQUESTS.index(frame, rows)].data
    return found


def _rows(frame: Frame) -> Sequence[Row]:
    view = frame.view
    page = frame.answers.requests.get(view.kind)
    shown = [
        row
        for row in (page.requests if page else ())
        if is_match(
            view.text,
            f"#{row.id}",
            row.client or f"client {row.client_id}",
            row.method,
            row.error or "",
        )
    ]
    # The daemon's own order first: the newest of `recent`, the longest of `slowest`.
    ordered = sorted(shown, key=_ORDERS[REQUESTS.sorts[view.sort]])
    return [Row(f"request {row.id}", row) for row in ordered]


def _wants(frame: Frame) -> tuple[AskRequests, ...]:
    return (AskRequests(frame.view.kind),)


REQUESTS = Spec(rows=_rows, wants=_wants, sorts=tuple(_ORDERS), opens=True, words="filter")
