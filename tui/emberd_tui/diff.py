"""Where two lines differ: only that much of a line is written to the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from emberd_tui.spans import Line, Role, Span, line_width, text_width

__all__ = ["changed"]

_Cell = tuple[str, Role, bool]


def changed(old: Line, new: Line) -> tuple[int, int] | None:
    """The stretch `(start, end)` of cells from the first to the last that differs.

    One stretch a line and not several: Textual writes each from the start of its line.
    """
    if old == new:
        return None
    # Whole spans first: most of a line is as it was, and cells are many.
    head = _in_common(old, new)
    tail = _in_common(old[head:][::-1], new[head:][::-1])
    before, after = _cells(old[head : len(old) - tail]), _cells(new[head : len(new) - tail])
    start = line_width(old[:head])
    if len(before) != len(after):
        return start, max(line_width(old), line_width(new))
    differing = [x for x, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]]
    return (start + differing[0], start + differing[-1] + 1) if differing else None


def _in_common(old: Sequence[Span], new: Sequence[Span]) -> int:
    """How many spans are equal from the start."""
    pairs = zip(old, new, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _cells(line: Line) -> list[_Cell]:
    """One entry a cell; a wide character is in both of its cells, so that none is halved."""
    cells: list[_Cell] = []
    for text, role, _, is_dim in line:
        for char in text:
            cells += [(char, role, is_dim)] * text_width(char)
    return cells
