"""The table at the end, in plain text."""

from __future__ import annotations

from collections.abc import Sequence

from bench.benchmark import Result
from bench.figures import Figure, show_number

__all__ = ["render", "warn_of_neighbours"]

_TITLES = ("benchmark", "figure", "value", "", "spread", "bar", "")
_RIGHT = {2}  # columns of numbers
_QUIET = 0.05  # a share of the processors that moves no figure


def render(results: Sequence[Result]) -> str:
    """One line a figure; a benchmark's name stands on its first line only."""
    rows: list[tuple[str, ...]] = [_TITLES]
    for result in results:
        for index, figure in enumerate(result.figures):
            rows.append(_row("" if index else result.name, figure))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_TITLES))]
    lines = [_line(row, widths) for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths if width).rstrip())
    return "\n".join(lines)


def warn_of_neighbours(results: Sequence[Result]) -> str:
    """What to say where other programs ran beside the benchmarks; empty where none did."""
    loud = [result for result in results if result.others > _QUIET]
    if not loud:
        return ""
    shares = ", ".join(f"{result.name} {100 * result.others:.0f}%" for result in loud)
    return (
        f"Other programs used the processors meanwhile ({shares}): ratios may be off, and times "
        "surely are. Take these again on a quiet machine."
    )


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
