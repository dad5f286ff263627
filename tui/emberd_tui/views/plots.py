"""The two plots: throughput as stacked areas, latency as two lines on decades."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from emberd_tui.axis import Axis, ticks
from emberd_tui.format import clock
from emberd_tui.frame import Frame
from emberd_tui.glyphs import Glyphs
from emberd_tui.history import Window
from emberd_tui.parts import box
from emberd_tui.plot import DOTS_X, DOTS_Y, Raster, draw_line, draw_stack
from emberd_tui.spans import Line, Role, Span, fit, overlay
from emberd_tui.views.legends import latency_legend, ratio_legend, throughput_legend

__all__ = ["GUTTER", "age_at", "hit_ratio", "latency", "throughput"]

GUTTER = 6
"""Cells left of a plot for the labels of its axis."""

_ROOMY = 38
_WHOLE = Axis(0.0, 1.0)
_NO_DATA = " no data "
_INK: tuple[Role, ...] = ("hits", "computed", "p50", "p99")


@dataclass(frozen=True, slots=True)
class _Plot:
    """Dots and what is needed to put them between an axis and a time scale."""

    raster: Raster
    window: Window
    axis: Axis
    label: Callable[[float], str]

    @property
    def gaps(self) -> list[bool]:
        """By column of cells."""
        gaps = self.window.gaps
        return [any(gaps[x : x + DOTS_X]) for x in range(0, len(gaps), DOTS_X)]


def throughput(frame: Frame, width: int, height: int) -> list[Line]:
    """Texts a second: hits, and what had to be computed on top of them."""
    plot = _plot(frame, frame.throughput_axis, _count_label, width, height)
    hits = plot.raster.add_layer("hits", "_#")
    computed = plot.raster.add_layer("computed", "_+")
    draw_stack(plot.raster, plot.axis, (hits, plot.window.hits), (computed, plot.window.computed))
    title: Line = (Span("Throughput" if width >= _ROOMY else "Texts/s", "title"),)
    if width >= 2 * _ROOMY:
        title = (*title, Span(" texts/s", "faint"))
    return _framed(frame, plot, title, throughput_legend(frame, title, width), width)


def latency(frame: Frame, width: int, height: int) -> list[Line]:
    """Latency of `embed` requests: p99 as a line, p50 as a dashed one."""
    plot = _plot(frame, frame.latency_axis, _ms_label, width, height)
    p50 = plot.raster.add_layer("p50", "oo")
    p99 = plot.raster.add_layer("p99", "**")
    draw_line(plot.raster, plot.axis, p50, plot.window.p50, is_dashed=True)
    draw_line(plot.raster, plot.axis, p99, plot.window.p99, is_dashed=False)
    title: Line = (Span("Latency", "title"),)
    return _framed(frame, plot, title, latency_legend(frame, title, width), width)


def hit_ratio(frame: Frame, width: int, height: int) -> list[Line]:
    """Share of the texts that were found in the cache."""
    plot = _plot(frame, _WHOLE, _percent_label, width, height)
    layer = plot.raster.add_layer("hits", "**")
    draw_line(plot.raster, plot.axis, layer, plot.window.hit_ratio, is_dashed=False)
    title: Line = (Span("Hit ratio", "title"),)
    return _framed(frame, plot, title, ratio_legend(frame, title, width), width)


def age_at(x: int, width: int, window_s: float) -> float | None:
    """How long ago the plot's column at cell `x` of a panel was; None beside the plot."""
    columns = width - 2 - GUTTER
    column = x - 1 - GUTTER
    return (columns - column - 0.5) * window_s / columns if 0 <= column < columns else None


def _plot(
    frame: Frame, axis: Axis, label: Callable[[float], str], width: int, height: int
) -> _Plot:
    raster = Raster(width - 2 - GUTTER, height - 2)
    window = frame.history.window(frame.now, frame.window_s, raster.width)
    return _Plot(raster, window, axis, label)


def _framed(frame: Frame, plot: _Plot, title: Line, legend: Line, width: int) -> list[Line]:
    raster, gaps = plot.raster, plot.gaps
    labels = _tick_rows(plot, raster.rows)
    cursor = _cursor_column(frame, raster.columns)
    body = [
        (
            Span(labels.get(row, "").rjust(GUTTER - 1) + " ", "muted"),
            *_row(raster, row, gaps, cursor, frame.glyphs, has_grid=row in labels),
        )
        for row in range(raster.rows)
    ]
    middle = raster.rows // 2
    body[middle] = _name_gaps(body[middle], gaps)
    foot = _time_scale(frame, raster.columns)
    return box(title, legend, body, width, raster.rows + 2, frame.glyphs, foot=foot)


def _row(
    raster: Raster, row: int, gaps: list[bool], cursor: int, glyphs: Glyphs, *, has_grid: bool
) -> Line:
    spans: list[Span] = []
    text = ""
    role: Role = "text"
    for column in range(raster.columns):
        char, found = _cell(raster, column, row, gaps[column], glyphs, has_grid)
        if column == cursor:
            char, found = char if found in _INK else glyphs.cursor, "cursor"
        if found != role and text:
            spans.append(Span(text, role))
            text = ""
        text, role = text + char, found
    return (*spans, Span(text, role))


def _cell(
    raster: Raster, column: int, row: int, is_gap: bool, glyphs: Glyphs, has_grid: bool
) -> tuple[str, Role]:
    drawn = raster.cell(column, row, is_braille=glyphs.is_braille)
    if drawn is not None:
        return drawn
    if is_gap:
        return glyphs.gap, "faint"
    return (glyphs.grid, "track") if has_grid else (" ", "text")


def _name_gaps(line: Line, gaps: list[bool]) -> Line:
    """`no data` in every gap that has room for it."""
    start = None
    for column, is_gap in enumerate([*gaps, False]):
        if is_gap and start is None:
            start = column
        elif not is_gap and start is not None:
            if column - start > len(_NO_DATA):
                x = GUTTER + (start + column - len(_NO_DATA)) // 2
                line = overlay(line, x, (Span(_NO_DATA, "muted"),))
            start = None
    return line


def _cursor_column(frame: Frame, columns: int) -> int:
    if frame.cursor_s is None:
        return -1
    return max(columns - 1 - int(frame.cursor_s * columns / frame.window_s), 0)


def _tick_rows(plot: _Plot, rows: int) -> dict[int, str]:
    """Labels by row: every tick, or every second or third one where they would crowd."""
    values = ticks(plot.axis)
    for step in range(1, len(values)):
        labels = {_row_of(plot.axis, value, rows): plot.label(value) for value in values[::step]}
        found = list(labels)
        if all(low - high >= 2 for low, high in pairwise(found)):
            break
    return labels


def _row_of(axis: Axis, value: float, rows: int) -> int:
    level = round(axis.position(value) * (rows * DOTS_Y - 1))
    return (rows * DOTS_Y - 1 - level) // DOTS_Y


def _count_label(value: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def _ms_label(value: float) -> str:
    if value >= 1_000:
        return f"{value / 1e3:g}s"
    return f"{value:g}ms" if value >= 0.1 else f"{value * 1e3:g}us"


def _percent_label(value: float) -> str:
    return f"{value:.0%}"


def _time_scale(frame: Frame, columns: int) -> Line:
    """The lower edge: ages at quarters of the window, `now` at its end."""
    line: Line = (Span(frame.glyphs.horizontal * (GUTTER + columns), "border"),)
    shares = (1.0, 0.75, 0.5, 0.25) if columns >= 48 else (1.0, 0.5)
    for share in shares:
        text = f" {clock(frame.window_s * share)} "
        line = overlay(line, GUTTER - 1 + round(columns * (1 - share)), (Span(text, "faint"),))
    return fit(overlay(line, GUTTER + columns - 5, (Span(" now ", "faint"),)), GUTTER + columns)
