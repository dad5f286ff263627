"""How figures, tables and JSON look: pure functions, and `print_json`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import click

__all__ = [
    "allows_color",
    "amount",
    "duration",
    "json_line",
    "pair_lines",
    "percent",
    "plural",
    "print_json",
    "shortened",
    "size",
    "table_lines",
]

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def allows_color(environment: Mapping[str, str] | None = None) -> bool:
    """False where `NO_COLOR` is set to anything but nothing, or the terminal is dumb."""
    env = os.environ if environment is None else environment
    return not env.get("NO_COLOR") and env.get("TERM") != "dumb"


def json_line(value: Any) -> str:
    """`value` (msgspec structs included) as one line of JSON."""
    import msgspec  # noqa: PLC0415  # not for `--help`

    plain = msgspec.to_builtins(value)
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))


def print_json(value: Any) -> None:
    """One line of JSON on stdout."""
    click.echo(json_line(value))


def size(count: float) -> str:
    """`1536` -> `1.5 KiB`."""
    for unit in _UNITS[:-1]:
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {_UNITS[-1]}"


def amount(done: float, total: float) -> str:
    """`38.2 of 86.7 MiB`: both in the unit of the whole."""
    number, unit = size(total).split()
    scale = 1024.0 ** _UNITS.index(unit)
    digits = 0 if unit == "B" else 1
    return f"{done / scale:.{digits}f} of {number} {unit}"


def shortened(text: str, width: int) -> str:
    """`text` in exactly `width` columns: padded, or with its middle left out."""
    if len(text) <= width:
        return text.ljust(width)
    tail = (width - 3) // 2
    return f"{text[: width - 3 - tail]}...{text[len(text) - tail :]}"


def duration(seconds: float) -> str:
    """`75` -> `1m 15s`; under a minute `0.42 s` or `12.3 s`."""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d {hours}h"
    return f"{hours}h {minutes}m" if hours else f"{minutes}m {rest}s"


def percent(ratio: float) -> str:
    """`0.425` -> `43%`; never rounds up to 100% or down to 0%."""
    if 0 < ratio < 0.01:
        return "<1%"
    if 0.99 < ratio < 1:
        return "99%"
    return f"{ratio:.0%}"


def plural(count: int, noun: str) -> str:
    """`1 text`, `2 texts`, `12,345 texts`."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun[:-1] + 'ies' if noun.endswith('y') else noun + 's'}"


def pair_lines(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """`name  value` lines, the values in one column."""
    width = max((len(name) for name, _ in pairs), default=0)
    return [f"{name:<{width}}  {value}".rstrip() for name, value in pairs]


def table_lines(header: Sequence[str], rows: Sequence[Sequence[str]], right: str = "") -> list[str]:
    """Columns as wide as their widest cell; `right` names the columns that hold numbers."""
    cells = [list(header), *([*row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    numbers = set(right.split())
    lines = []
    for row in cells:
        padded = [
            cell.rjust(width) if name in numbers else cell.ljust(width)
            for name, cell, width in zip(header, row, widths, strict=True)
        ]
        lines.append("  ".join(padded).rstrip())
    return lines
