"""Charts of recorded results, as SVG: equal results give equal bytes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from bench.figures import show_number

__all__ = ["write_charts"]

_WIDTH = 760
_BAR, _GAP, _TOP = 22, 10, 44
_LABELS, _NUMBERS = 230, 90
_PLOT_HEIGHT, _MARGIN = 250, 60
_LINE = 15
_INK, _MUTED = "#57606a", "#8c959f"  # both readable on white and on black
_OURS, _THEIRS = "#e8590c", "#868e96"
_COLOURS = ("#e8590c", "#1c7ed6", "#2f9e44", "#ae3ec9")
_FONT = "font-family='system-ui, sans-serif' font-size='13'"

Points = list[tuple[float, float]]


def write_charts(record: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write a chart of each benchmark in the record that has one; the files, below `folder`."""
    written = []
    for result in record["results"]:
        draw = _DRAWN.get(result["benchmark"])
        if draw is None or not result["figures"]:
            continue
        file = folder / f"{result['benchmark']}.svg"
        file.write_text(draw(result["figures"]), "utf-8")
        written.append(file)
    return written


def _peers(figures: Sequence[Mapping[str, Any]]) -> str:
    rows = [(each["figure"], each["value"]) for each in figures if each["unit"] == "texts/s"]
    rows.sort(key=lambda row: -row[1])
    return _bars("Texts per second, the same weights and texts, one machine", rows)


def _bars(title: str, rows: Sequence[tuple[str, float]]) -> str:
    height = _TOP + len(rows) * (_BAR + _GAP)
    longest = max(value for _, value in rows)
    parts = [_text(0, 20, title, weight="600")]
    for index, (name, value) in enumerate(rows):
        y = _TOP + index * (_BAR + _GAP)
        width = (_WIDTH - _LABELS - _NUMBERS) * value / longest
        colour = _OURS if name.startswith("emberd") else _THEIRS
        parts += [
            _text(_LABELS - 10, y + 16, name, anchor="end"),
            f"<rect x='{_LABELS}' y='{y}' width='{width:.1f}' height='{_BAR}' rx='3' "
            f"fill='{colour}'/>",
            _text(_LABELS + width + 8, y + 16, show_number(value), weight="600"),
        ]
    return _svg(height, parts)


def _scale(figures: Sequence[Mapping[str, Any]]) -> str:
    """Two plots below each other: the cache's times a record, the collections' times a query."""
    cache = _lines(figures, "cache of ", ("insert", "one lookup", "64 lookups"))
    index = _lines(figures, "collection of ", ("one query", "64 queries"))
    upper = _plot("Cache: microseconds against records", cache, 0)
    lower = _plot("Collection: milliseconds against documents", index, _PLOT_HEIGHT + _MARGIN)
    return _svg(2 * (_PLOT_HEIGHT + _MARGIN), [*upper, *lower])


def _lines(
    figures: Sequence[Mapping[str, Any]], prefix: str, names: Sequence[str]
) -> dict[str, Points]:
    lines: dict[str, Points] = {name: [] for name in names}
    for each in figures:
        size, _, name = each["figure"].removeprefix(prefix).partition(": ")
        if each["figure"].startswith(prefix) and name in lines:
            lines[name].append((float(size.replace(",", "")), each["value"]))
    return {name: points for name, points in lines.items() if points}


def _plot(title: str, lines: Mapping[str, Points], top: int) -> list[str]:
    """Both axes in decades."""
    if not lines:
        return []
    xs = _decades(x for points in lines.values() for x, _ in points)
    ys = _decades(y for points in lines.values() for _, y in points)
    left, right, bottom = 60, _WIDTH - 130, top + _PLOT_HEIGHT

    def at(x: float, y: float) -> tuple[float, float]:
        across = (math.log10(x) - xs[0]) / (xs[-1] - xs[0])
        up = (math.log10(y) - ys[0]) / (ys[-1] - ys[0])
        return left + across * (right - left), bottom - up * (_PLOT_HEIGHT - _TOP)

    parts = [_text(0, top + 20, title, weight="600")]
    for power in ys:
        _, y = at(10.0 ** xs[0], 10.0**power)
        parts.append(f"<path d='M{left} {y:.1f}H{right}' stroke='{_MUTED}' stroke-width='.5'/>")
        parts.append(_text(left - 8, y + 4, f"{10.0**power:,g}", anchor="end"))
    for power in xs:
        x, _ = at(10.0**power, 10.0 ** ys[0])
        parts.append(_text(x, bottom + 20, f"{10**power:,}", anchor="middle"))
    labels = []
    for colour, (name, points) in zip(_COLOURS, lines.items(), strict=False):
        places = [at(x, y) for x, y in points]
        way = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        parts.append(f"<path d='M{way}' fill='none' stroke='{colour}' stroke-width='2'/>")
        parts += [f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3' fill='{colour}'/>" for x, y in places]
        labels.append((places[-1][1] + 4, name, colour))
    lowest = 0.0
    for y, name, colour in sorted(labels):
        lowest = max(y, lowest + _LINE)  # lines may end close to each other
        parts.append(_text(right + 10, lowest, name, fill=colour))
    return parts


def _decades(values: Iterable[float]) -> list[int]:
    powers = [math.log10(value) for value in values]
    low, high = math.floor(min(powers) + 1e-9), math.ceil(max(powers) - 1e-9)
    return list(range(low, max(high, low + 1) + 1))


def _text(
    x: float, y: float, words: str, *, anchor: str = "start", weight: str = "400", fill: str = _INK
) -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' font-weight='{weight}' "
        f"fill='{fill}' {_FONT}>{escape(words)}</text>"
    )


def _svg(height: float, parts: Iterable[str]) -> str:
    head = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_WIDTH} {height:.0f}'>"
    return "\n".join([head, *parts, "</svg>"]) + "\n"


_DRAWN = {"peers": _peers, "scale": _scale}
