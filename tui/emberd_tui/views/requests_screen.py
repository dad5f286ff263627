"""Requests: a list, and where the time of the selected one has gone."""

from __future__ import annotations

from datetime import UTC, datetime

from emberd.wire.insight import RequestRow
from emberd.wire.snapshot import Snapshot
from emberd_tui.asks import REQUEST_KINDS, AskRequests
from emberd_tui.format import count, milliseconds
from emberd_tui.frame import Frame
from emberd_tui.glyphs import Glyphs
from emberd_tui.layout import Rect
from emberd_tui.parts import Column
from emberd_tui.screens.requests import REQUESTS, selected_request
from emberd_tui.spans import Line, Role, Span, clean
from emberd_tui.views.body import (
    Body,
    Detail,
    described,
    listing,
    missing_box,
    sortable,
    stacked,
    wrapped,
)
from emberd_tui.views.waterfall import waterfall

__all__ = ["requests_screen"]

_EMPTY = {
    "recent": "nothing has been answered yet",
    "slowest": "nothing has been answered in the last hour",
    "slow": "no request was slow",
}


def requests_screen(frame: Frame, snapshot: Snapshot, width: int, height: int) -> Body:
    """The list that is shown, over the stages of its selected request."""
    if AskRequests.method in frame.answers.missing:
        lines = missing_box(frame, "Requests", "of single requests", width, height)
        return Body(lines, {"rows": Rect(0, 0, width, height)})
    rows = REQUESTS.rows(frame)
    page = frame.answers.requests.get(frame.view.kind)
    empty = "nothing fits" if frame.view.text else _EMPTY[frame.view.kind]

    def draw_list(tall: int) -> list[Line]:
        return listing(
            frame,
            _columns(REQUESTS.sorts[frame.view.sort], frame, rows),
            rows,
            REQUESTS.index(frame, rows) if rows else 0,
            width,
            tall,
            title="Requests",
            legend=_kinds(frame, page.slow_ms if page else 0.0),
            empty=empty if page is not None else "...",
        )

    return stacked(frame, len(rows), draw_list, lambda room: _detail(frame, room), width, height)


def _kinds(frame: Frame, slow_ms: float) -> Line:
    """The three lists; brackets say which one is shown."""
    line: list[Span] = []
    for index, kind in enumerate(REQUEST_KINDS):
        steps = index - REQUEST_KINDS.index(frame.view.kind)
        name = f"slow >{milliseconds(slow_ms)}" if kind == "slow" and slow_ms else kind
        text = name if steps else f"[{name}]"
        line += [
            Span(" " if index else ""),
            Span(text, "muted" if steps else "strong", f"kind({steps})"),
        ]
    return tuple(line)


def _columns(sort: str, frame: Frame, rows: object) -> list[Column[RequestRow]]:
    glyphs = frame.glyphs

    columns: list[Column[RequestRow]] = [
        Column("time", 8, lambda row: (Span(_time(frame, row), "faint"),), 3, align="left"),
        Column("id", 8, lambda row: (Span(clean(str(row.id)), "muted"),), 6, align="left"),
        Column("client", 14, lambda row: (_client(row),), 1, align="left"),
        Column("method", 12, lambda row: _method(row, glyphs), 0, align="left", is_elastic=True),
        Column("texts", 6, lambda row: (_number(row.texts),), 2),
        Column("hits", 6, lambda row: (_number(sum(row.hits.values()), "hits"),), 4),
        Column("computed", 8, lambda row: (_number(row.computed, "computed"),), 5),
        Column("took", 7, lambda row: (Span(milliseconds(row.seconds * 1e3), "strong"),)),
    ]
    return sortable(columns, REQUESTS.sorts, sort)


def _time(frame: Frame, row: RequestRow) -> str:
    return f"{datetime.fromtimestamp(row.time, UTC).astimezone(frame.zone):%H:%M:%S}"


def _client(row: RequestRow) -> Span:
    return Span(clean(row.client) or f"client {row.client_id}")


def _method(row: RequestRow, glyphs: Glyphs) -> Line:
    """A request that failed says so beside its method."""
    name = Span(clean(row.method), "text")
    return (name, Span(f"  {glyphs.bad} {clean(row.error)}", "bad")) if row.error else (name,)


def _number(value: int, role: Role = "text") -> Span:
    return Span(count(value), role if value else "faint")


def _detail(frame: Frame, width: int) -> Detail:
    row = selected_request(frame)
    if row is None:
        return Detail("Request", [(Span("Nothing is selected.", "faint"),)])
    lines: list[Line] = []
    if row.error:
        failed = f"{frame.glyphs.bad} {row.error}"
        lines += [(line[0]._replace(role="bad"),) for line in wrapped(failed, width)]
    lines += waterfall(row, width, frame.glyphs)
    hits = ", ".join(f"{count(hit)} from {tier}" for tier, hit in row.hits.items() if hit)
    noun = "text" if row.texts == 1 else "texts"
    found = f"{count(row.texts)} {noun}: {hits or 'none cached'}, {count(row.computed)} computed"
    lines += described("texts", found, width)
    title = f"Request {row.id}  {row.method}  {clean(row.client)}"
    return Detail(title, lines, (Span(milliseconds(row.seconds * 1e3), "strong"),))
