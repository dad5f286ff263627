"""The log: one line a record, the selected one in full."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from emberd.wire.insight import LogLine
from emberd.wire.snapshot import Snapshot
from emberd_tui.asks import AskLogs
from emberd_tui.frame import Frame
from emberd_tui.layout import Rect
from emberd_tui.parts import Column
from emberd_tui.screens.logs import LOGS, fields_text, value_text
from emberd_tui.spans import Line, Role, Span, clean
from emberd_tui.view import LEVELS
from emberd_tui.views.body import Body, Detail, labelled, listing, missing_box, stacked, wrapped

__all__ = ["logs_screen"]

_ROLES: dict[str, Role] = {"debug": "faint", "info": "muted", "warning": "warning"}
_DETAIL = 8
_LABEL = 24


def logs_screen(frame: Frame, snapshot: Snapshot, width: int, height: int) -> Body:
    """Newest last; a selected line stays, the last one follows."""
    if AskLogs.method in frame.answers.missing:
        lines = missing_box(frame, "Log", "what it logs", width, height)
        return Body(lines, {"rows": Rect(0, 0, width, height)})
    rows = LOGS.rows(frame)
    selected = LOGS.index(frame, rows) if rows else 0
    follows = selected == len(rows) - 1 and not frame.is_frozen

    def draw_list(tall: int) -> list[Line]:
        return listing(
            frame,
            _columns(frame),
            rows,
            selected,
            width,
            tall,
            title="Log",
            legend=_legend(frame, follows),
            empty="no line fits" if frame.answers.logs else "nothing is logged yet",
        )

    # The list has the room that the selected line leaves.
    count = height if not frame.view.is_open else 0
    record = rows[selected].data if rows else None
    return stacked(
        frame,
        max(count, _DETAIL),
        draw_list,
        lambda room: _detail(frame, record, room),
        width,
        height,
    )


def _legend(frame: Frame, follows: bool) -> Line:
    level = LEVELS[frame.view.level]
    follow = (
        Span("follows", "good")
        if follows
        else Span(frame.keys.shown("last"), "key", "move('last')")
    )
    return (
        Span("level ", "muted", "level"),
        Span(level, "strong", "level"),
        Span("  "),
        follow,
        Span("" if follows else " follow", "muted"),
    )


def _columns(frame: Frame) -> list[Column[LogLine]]:
    def order(name: str) -> dict[str, Any]:
        is_sorted = LOGS.sorts[frame.view.sort] == name
        return {"action": f"sort('{name}')", "is_sorted": is_sorted}

    return [
        Column(
            "time", 8, lambda row: (Span(_time(frame, row), "faint"),), 1, "left", **order("time")
        ),
        Column("level", 9, lambda row: _level(frame, row), 0, "left", **order("level")),
        Column(
            "event",
            18,
            lambda row: (Span(clean(row.event), "accent"),),
            0,
            "left",
            **order("event"),
        ),
        Column("message", 12, _message, 0, "left", True),
    ]


def _time(frame: Frame, record: LogLine) -> str:
    return f"{datetime.fromtimestamp(record.time, UTC).astimezone(frame.zone):%H:%M:%S}"


def _level(frame: Frame, record: LogLine) -> Line:
    glyphs = frame.glyphs
    marks = {"debug": " ", "info": glyphs.dot, "warning": glyphs.warning}
    role = _ROLES.get(record.level, "bad")
    return (Span(f"{marks.get(record.level, glyphs.bad)} {clean(record.level)}", role),)


def _message(record: LogLine) -> Line:
    text = clean(" ".join(record.message.split()))
    fields = clean(" ".join(fields_text(record).split()))
    return (Span(text), Span("  " if text else ""), Span(fields, "muted"))


def _detail(frame: Frame, record: LogLine | None, width: int) -> Detail:
    if record is None:
        return Detail("Line", [(Span("Nothing is selected.", "faint"),)])
    lines: list[Line] = [
        (
            *_level(frame, record),
            Span(f"  {_time(frame, record)}  ", "faint"),
            Span(clean(record.event), "accent"),
        ),
        *(wrapped(record.message, width) if record.message else ()),
    ]
    widest = min(max(map(len, record.fields), default=0) + 1, _LABEL)
    for name, value in record.fields.items():
        first, *rest = wrapped(value_text(value), width - widest)
        lines.append(labelled(clean(name)[: widest - 1], first, widest))
        lines += [labelled("", line, widest) for line in rest]
    return Detail("Line", lines)
