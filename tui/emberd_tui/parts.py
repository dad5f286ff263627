"""What panels are made of: boxes, bars, rows of a label with a bar and a figure, tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from emberd_tui.glyphs import Glyphs
from emberd_tui.spans import Line, Role, Span, fit, line_width, overlay

__all__ = ["Column", "bar", "box", "figure", "first_fit", "keep", "meter", "table", "title_room"]

RowT = TypeVar("RowT")


def box(
    title: Line,
    legend: Line,
    body: Sequence[Line],
    width: int,
    height: int,
    glyphs: Glyphs,
    *,
    foot: Line = (),
) -> list[Line]:
    """A frame of `width` x `height` cells with `title` and `legend` set into its upper edge.

    `foot` is set into the lower edge from its second cell. The body is padded and cut to fit;
    a title that does not fit beside the legend is left out.
    """
    rule = glyphs.horizontal * (width - 2)
    top: Line = (Span(glyphs.corners[0] + rule + glyphs.corners[1], "border"),)
    bottom: Line = (Span(glyphs.corners[2] + rule + glyphs.corners[3], "border"),)
    space = Span(" ")
    if legend:
        legend = fit(legend, min(line_width(legend), width - 6), glyphs.ellipsis)
        top = overlay(top, width - line_width(legend) - 4, (space, *legend, space))
    if line_width(title) <= title_room(width, legend):
        top = overlay(top, 2, (space, *title, space))
    bottom = overlay(bottom, 1, fit(foot, min(line_width(foot), width - 2))) if foot else bottom
    edge = Span(glyphs.vertical, "border")
    inner = [*body[: height - 2], *[()] * (height - 2 - len(body))]
    return [top, *((edge, *fit(line, width - 2, glyphs.ellipsis), edge) for line in inner), bottom]


def title_room(width: int, legend: Line) -> int:
    """Cells for a title in the upper edge of a box beside this legend."""
    return width - 6 - (line_width(legend) + 3 if legend else 0)


def first_fit(variants: Sequence[Line], width: int) -> Line:
    """The first of `variants` (richest first) that fits, else the last one."""
    return next((line for line in variants if line_width(line) <= width), variants[-1])


def bar(ratio: float, width: int, role: Role, glyphs: Glyphs) -> Line:
    """`ratio` of `width` cells filled, to half a cell; the smallest non-zero ratio shows."""
    steps = 2 if glyphs.half_bar else 1
    filled = round(min(max(ratio, 0.0), 1.0) * width * steps)
    filled = max(filled, 1) if ratio > 0 else filled
    whole, half = divmod(filled, steps)
    head = glyphs.bar * whole + glyphs.half_bar * half
    return Span(head, role), Span(glyphs.track * (width - whole - half), "track")


def meter(
    label: str, ratio: float | None, value: str, role: Role, width: int, glyphs: Glyphs
) -> Line:
    """`label`, a bar over the room there is, and `value` at the right end."""
    room = width - len(label) - len(value) - 2
    line: Line = (Span(label, "muted"),)
    if room >= 3:
        drawn = bar(ratio or 0.0, room, role if ratio is not None else "track", glyphs)
        line = (*line, *drawn, Span("  "))
    return *fit(line, width - len(value)), Span(value, "text")


def figure(value: str, unit: str, width: int, role: Role = "text") -> Line:
    """`value` and what it counts, padded to `width` cells so that what follows stands still."""
    return fit((Span(value, role), Span(unit, "muted")), max(width, len(value) + len(unit)))


def keep(rows: Sequence[tuple[int, Line]], height: int) -> list[Line]:
    """The `height` most important of `(rank, line)` rows (0 is the most), in their order."""
    ranked = sorted(range(len(rows)), key=lambda index: (rows[index][0], index))
    return [rows[index][1] for index in sorted(ranked[:height])]


@dataclass(frozen=True, slots=True)
class Column(Generic[RowT]):
    """A column of a table; those of the highest rank go first when room is short."""

    title: str
    width: int
    cell: Callable[[RowT], Line]
    rank: int = 0
    align: Literal["left", "right"] = "right"
    is_elastic: bool = False
    """Takes the room that is left; one column should."""
    action: str = ""
    is_sorted: bool = False


_GAP = 2


def table(
    columns: Sequence[Column[RowT]], rows: Sequence[RowT], width: int, glyphs: Glyphs
) -> list[Line]:
    """The heading and one line a row, `width` cells each; columns that do not fit are left out."""
    shown = _that_fit(list(columns), width)
    spare = width - _table_width(shown)
    widths = [column.width + (spare if column.is_elastic else 0) for column in shown]
    lines = [_join([(_heading(column, glyphs),) for column in shown], shown, widths, glyphs)]
    lines += [_join([column.cell(row) for column in shown], shown, widths, glyphs) for row in rows]
    return [fit(line, width) for line in lines]


def _that_fit(columns: list[Column[RowT]], width: int) -> list[Column[RowT]]:
    while len(columns) > 1 and _table_width(columns) > width:
        columns.remove(max(reversed(columns), key=lambda column: column.rank))
    return columns


def _table_width(columns: Sequence[Column[RowT]]) -> int:
    return sum(column.width for column in columns) + _GAP * (len(columns) - 1)


def _heading(column: Column[RowT], glyphs: Glyphs) -> Span:
    if column.is_sorted:
        return Span(column.title + glyphs.sorted, "strong", column.action)
    return Span(column.title, "muted", column.action)


def _join(
    cells: Sequence[Line], columns: Sequence[Column[RowT]], widths: Sequence[int], glyphs: Glyphs
) -> Line:
    line: list[Span] = []
    for index, (cell, column, width) in enumerate(zip(cells, columns, widths, strict=True)):
        if index:
            line.append(Span(" " * _GAP))
        cut = fit(cell, min(line_width(cell), width), glyphs.ellipsis)
        pad = Span(" " * (width - line_width(cut)))
        line.extend((*cut, pad) if column.align == "left" else (pad, *cut))
    return tuple(line)
