"""The table at the end, in plain text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.benchmark import Result
from bench.figures import Figure, show_number

__all__ = ["render", "warn"]

_TITLES = ("benchmark", "figure", "value", "", "spread", "bar", "")
_RIGHT = {2}  # columns of numbers
_QUIET = 0.05  # a share of the processors that moves no figure
_STEADY = 0.2


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


def warn(results: Sequence[Result]) -> str:
    """What to say where the machine was not quiet; empty where it was."""
    lines = []
    if shares := _list((each.name, each.others) for each in results if each.others > _QUIET):
        lines.append(f"Other programs used the processors meanwhile: {shares}.")
    if drifts := _list((each.name, each.drift) for each in results if each.drift > _STEADY):
        lines.append(f"The processor itself became faster or slower meanwhile: {drifts}.")
    if lines:
        lines.append("Ratios may be off, times surely are. Take these again on a quiet machine.")
    return "\n".join(lines)


def _list(shares: Iterable[tuple[str, float]]) -> str:
    return ", ".join(f"{name} {100 * share:.0f}%" for name, share in shares)


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
