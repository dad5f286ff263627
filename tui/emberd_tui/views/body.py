"""What lies between the status line and the footer: lines, where its panels are, its parts."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from emberd.wire.snapshot import Latency
from emberd_tui.format import count, milliseconds
from emberd_tui.frame import Frame
from emberd_tui.glyphs import Glyphs
from emberd_tui.layout import Place, Rect
from emberd_tui.parts import Column, box, table
from emberd_tui.spans import Line, Role, Span, clean, fit
from emberd_tui.view import Row

__all__ = [
    "Body",
    "Detail",
    "described",
    "detail_box",
    "labelled",
    "latency_cell",
    "listing",
    "missing_box",
    "sortable",
    "stacked",
    "wrapped",
]

RowT = TypeVar("RowT")

_LEAST_DETAIL = 7
_LEAST_LIST = 6


@dataclass(frozen=True, slots=True)
class Body:
    """`places` count from the body's own first line."""

    lines: list[Line]
    places: dict[Place, Rect]
    most_scroll: int = 0


@dataclass(frozen=True, slots=True)
class Detail:
    """All of what is known of the selected row; as many lines as it takes."""

    title: str
    lines: Sequence[Line]
    legend: Line = ()


def stacked(
    frame: Frame,
    rows: int,
    draw_list: Callable[[int], list[Line]],
    detail: Callable[[int], Detail],
    width: int,
    height: int,
) -> Body:
    """The list over the details of its selected row; where room is short, the one in focus.

    `rows` is how many the list has; `draw_list` is given a height and `detail` a width.
    """
    view = frame.view
    is_alone = view.is_zoomed or height < _LEAST_LIST + _LEAST_DETAIL + 3
    if is_alone and not view.is_open:
        return Body(draw_list(height), {"rows": Rect(0, 0, width, height)})
    shown = detail(width - 4)
    wanted = len(shown.lines) + 2
    above = 0 if is_alone else max(min(rows + 3, height - min(wanted, height // 2)), _LEAST_LIST)
    lines, most = detail_box(frame, shown, width, height - above)
    places: dict[Place, Rect] = {"detail": Rect(0, above, width, height - above)}
    if above:
        places["rows"] = Rect(0, 0, width, above)
        lines = [*draw_list(above), *lines]
    return Body(lines, places, most if view.is_open else 0)


def detail_box(frame: Frame, detail: Detail, width: int, height: int) -> tuple[list[Line], int]:
    """The box, and how far it can be scrolled."""
    glyphs, room = frame.glyphs, height - 2
    most = max(len(detail.lines) - room, 0)
    first = min(frame.view.scroll, most) if frame.view.is_open else 0
    shown = detail.lines[first : first + room]
    legend = detail.legend
    if most:
        places = f"{first + 1}-{first + len(shown)} of {len(detail.lines)}"
        legend = (*legend, Span("  " if legend else ""), Span(places, "muted"))
    if frame.view.is_open:
        legend = (*legend, Span("  " if legend else ""), Span("Esc", "key", "close"))
    body = [(Span(" "), *fit(line, width - 4, glyphs.ellipsis)) for line in shown]
    title: Line = (Span(clean(detail.title), "title"),)
    return box(title, legend, body, width, height, glyphs), most


def listing(
    frame: Frame,
    columns: Sequence[Column[RowT]],
    rows: Sequence[Row],
    selected: int,
    width: int,
    height: int,
    *,
    title: str,
    legend: Line = (),
    empty: str = "there is none",
) -> list[Line]:
    """A table in a box; the selected row is marked and always in sight, a click selects."""
    glyphs, visible = frame.glyphs, max(height - 3, 1)
    first = max(min(selected - visible // 2, len(rows) - visible), 0)
    shown = rows[first : first + visible]
    heading, *cells = table(columns, [row.data for row in shown], width - 4, glyphs)
    body: list[Line] = [(Span(" "), *heading)]
    for index, line in enumerate(cells, start=first):
        action = f"select({index})"
        mark = Span(glyphs.selected if index == selected else " ")
        role: Role | None = "selected" if index == selected else None
        # Not `_replace`, which takes four times as long: these are most of the spans of a screen.
        spans = (
            Span(span.text, role or span.role, span.action or action, span.is_dim)
            for span in (mark, *line)
        )
        body.append(tuple(spans))
    if not rows:
        body.append((Span(f" {empty}", "faint"),))
    tail: Line = (Span(count(len(rows)), "strong"),)
    if len(shown) < len(rows):
        tail = (Span(f"{first + 1}-{first + len(shown)}", "strong"), Span(" of ", "muted"), *tail)
    legend = (*legend, Span("  "), *tail) if legend else tail
    return box((Span(title, "title"),), legend, body, width, height, glyphs)


def sortable(
    columns: Sequence[Column[RowT]], sorts: Sequence[str], sort: str
) -> list[Column[RowT]]:
    """Columns that rows can be sorted by act on a click; that of the present order is marked."""
    return [
        replace(
            column,
            action=f"sort('{column.title}')" if column.title in sorts else "",
            is_sorted=column.title == sort,
        )
        for column in columns
    ]


def latency_cell(latency: Latency, value_ms: float, glyphs: Glyphs) -> Span:
    """One of the figures of `latency`; none of them says anything before the first call."""
    return Span(milliseconds(value_ms)) if latency.count else Span(glyphs.none, "faint")


def labelled(label: str, value: Line | str, width: int = 10) -> Line:
    """A label in its own column, and a value."""
    line: Line = (Span(clean(value)),) if isinstance(value, str) else value
    return Span(label.ljust(width), "muted"), *line


def described(label: str, text: str, width: int) -> list[Line]:
    """A label and a text that may take several lines."""
    lines = wrapped(text, width - 10)
    return [labelled("" if index else label, line) for index, line in enumerate(lines)]


def wrapped(text: str, width: int, indent: str = "") -> list[Line]:
    """Lines of `width` cells at most, at words where that is possible."""
    lines: list[Line] = []
    for paragraph in text.expandtabs(4).splitlines() or [""]:
        parts = textwrap.wrap(clean(paragraph), max(width - len(indent), 8)) or [""]
        lines += [(Span(indent + part),) for part in parts]
    return lines


def missing_box(frame: Frame, title: str, what: str, width: int, height: int) -> list[Line]:
    """In the place of a panel that an older daemon cannot fill."""
    version = frame.snapshot.daemon.version if frame.snapshot else ""
    text = (
        f"This daemon (emberd {version}) does not tell {what}: it is older than this dashboard. "
        "`emberd restart` starts the one that is installed."
    )
    room = width - 8
    rows = [(Span("  "), *line) for line in wrapped(text, min(room, 64))]
    above = max((height - 2 - len(rows)) // 2, 0)
    mark: Line = (Span(f"{frame.glyphs.warning} not there", "warning"),)
    return box((Span(title, "title"),), mark, [*[()] * above, *rows], width, height, frame.glyphs)
