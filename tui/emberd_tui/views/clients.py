"""The clients table."""

from __future__ import annotations

from collections.abc import Callable

from emberd.wire.snapshot import ClientStats, Snapshot
from emberd_tui.format import count, duration, milliseconds, percent, rate
from emberd_tui.frame import Frame, Sort
from emberd_tui.glyphs import Glyphs
from emberd_tui.parts import Column, bar, box, table
from emberd_tui.screens.overview import OVERVIEW
from emberd_tui.spans import Line, Role, Span, clean

__all__ = ["clients"]

_SHARE = 10
_OF_LIMITS = ("limit", "refused")


def clients(frame: Frame, snapshot: Snapshot, width: int, height: int) -> list[Line]:
    """One row a client, in an order that holds still for some seconds."""
    found = OVERVIEW.rows(frame)
    rows: list[ClientStats] = [row.data for row in found]
    visible = max(height - 3, 1)
    selected = OVERVIEW.index(frame, found) if found else -1
    first = max(min(selected - visible // 2, len(rows) - visible), 0)
    shown = rows[first : first + visible]
    columns = _columns(frame.sort, rows, frame.glyphs)
    if not any(row.limit is not None or row.limited for row in rows):
        columns = [column for column in columns if column.title not in _OF_LIMITS]
    lines = table(columns, shown, width - 4, frame.glyphs)
    if not rows:
        empty = "none fits" if snapshot.clients else "none is connected"
        lines.append((Span(empty, "faint"),))
    body = [
        _row(line, first + index, selected, frame.glyphs) if 0 <= index < len(shown) else line
        for index, line in enumerate(((Span(" "), *line) for line in lines), start=-1)
    ]
    legend = _legend(len(rows), first, len(shown), frame.glyphs)
    return box((Span("Clients", "title"),), legend, body, width, height, frame.glyphs)


def _row(line: Line, index: int, selected: int, glyphs: Glyphs) -> Line:
    """A click selects the row; the selected one is marked."""
    if index == selected:
        line = tuple(span._replace(role="selected") for span in (Span(glyphs.selected), *line[1:]))
    return tuple(span._replace(action=f"select({index})") for span in line)


def _legend(total: int, first: int, shown: int, glyphs: Glyphs) -> Line:
    if shown == total:
        return (Span(count(total), "strong"), Span(" connected", "muted"))
    return (
        Span(f"{glyphs.up} ", "key", "move('up')"),
        Span(f"{first + 1}-{first + shown}", "strong"),
        Span(" of ", "muted"),
        Span(count(total), "strong"),
        Span(f" {glyphs.down}", "key", "move('down')"),
    )


def _columns(sort: Sort, rows: list[ClientStats], glyphs: Glyphs) -> list[Column[ClientStats]]:
    busiest = max((client.texts_per_s for client in rows), default=0.0)

    def ms(figure: Callable[[ClientStats], float]) -> Callable[[ClientStats], Line]:
        return lambda row: (_latency(figure(row), glyphs),)

    return [
        Column(
            "client", 13, _name, 0, "left", True, action="sort('name')", is_sorted=sort == "name"
        ),
        Column("pid", 7, lambda row: (Span(str(row.pid or ""), "muted"),), rank=3),
        Column("via", 4, lambda row: (Span(row.transport, "muted"),), rank=6),
        Column("", _SHARE, lambda row: _share(row, busiest, glyphs), rank=9),
        Column("texts/s", 8, _rate, action="sort('rate')", is_sorted=sort == "rate"),
        Column(
            "hit", 5, lambda row: _hit(row, glyphs), action="sort('hit')", is_sorted=sort == "hit"
        ),
        Column("p50", 7, ms(lambda row: row.p50_ms), rank=3),
        Column(
            "p99", 7, ms(lambda row: row.p99_ms), 1, action="sort('p99')", is_sorted=sort == "p99"
        ),
        Column("limit", 10, lambda row: _limit(row, glyphs), 2, "left"),
        Column("refused", 7, lambda row: (_figure(row.limited, "warning"),), rank=4),
        Column("in flight", 9, lambda row: (_figure(row.in_flight),), rank=4),
        Column("requests", 8, lambda row: (Span(count(row.requests), "muted"),), rank=7),
        Column("failed", 6, lambda row: (_figure(row.failed, "bad"),), rank=5),
        Column("for", 7, lambda row: (Span(duration(row.connected_s), "muted"),), rank=8),
    ]


def _name(client: ClientStats) -> Line:
    return (Span(clean(client.name) or f"client {client.id}", "strong"),)


def _rate(client: ClientStats) -> Line:
    return (Span(rate(client.texts_per_s), "text" if client.texts_per_s else "faint"),)


def _hit(client: ClientStats, glyphs: Glyphs) -> Line:
    if not client.texts_per_s:
        return (Span(glyphs.none, "faint"),)
    return (Span(percent(client.hit_ratio), "hits"),)


def _limit(client: ClientStats, glyphs: Glyphs) -> Line:
    """Free, near it with the share that is used, or refused and for how long yet."""
    limit = client.limit
    if limit is None:
        return (Span(glyphs.none, "faint"),)
    if limit.state == "limited":
        return (Span(f"{glyphs.bad} {_wait(limit.retry_after_s)}", "bad"),)
    if limit.state == "near":
        return (Span(f"{glyphs.warning} {percent(limit.used_ratio)}", "warning"),)
    return (Span(f"{glyphs.good} free", "good"),)


def _wait(seconds: float) -> str:
    return duration(seconds) if seconds >= 1 else milliseconds(seconds * 1e3)


def _share(client: ClientStats, busiest: float, glyphs: Glyphs) -> Line:
    return bar(client.texts_per_s / busiest if busiest else 0.0, _SHARE, "hits", glyphs)


def _latency(value: float, glyphs: Glyphs) -> Span:
    return Span(milliseconds(value)) if value else Span(glyphs.none, "faint")


def _figure(value: int, role: Role = "text") -> Span:
    return Span(count(value), role if value else "faint")
