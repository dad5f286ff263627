"""The table at the end, in plain text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.figures import Figure, show_number

__all__ = ["render"]

_TITLES = ("benchmark", "figure", "value", "", "spread", "bar", "")
_RIGHT = {2}  # columns of numbers


def render(results: Iterable[tuple[str, Sequence[Figure]]]) -> str:
    """One line a figure; a benchmark's name stands on its first line only."""
    rows: list[tuple[str, ...]] = [_TITLES]
    for name, figures in results:
        rows += [_row(name if index == 0 else "", figure) for index, figure in enumerate(figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_TITLES))]
    lines = [_line(row, widths) for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths if width).rstrip())
    return "\n".join(lines)


def _row(name: str, figure: Figure) -> tuple[str, ...]:
    low, high = figure.spread
    verdict = {True: "met", False: "NOT MET", None: ""}[figure.is_met]
    return (
        name,
        figure.name,
        show_number(figure.value),
        figure.unit,
        f"{show_number(low)} .. {show_number(high)}",
        "" if figure.bar is None else str(figure.bar),
        verdict,
    )


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        text.rjust(width) if column in _RIGHT else text.ljust(width)
        for column, (text, width) in enumerate(zip(row, widths, strict=True))
        if width
    ]
    return "  ".join(cells).rstrip()
