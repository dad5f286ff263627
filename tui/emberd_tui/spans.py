"""Styled text without a terminal: a line is a tuple of spans, a span is text in one role.

Views build lines from these; only `palette` knows what a role looks like, and only `canvas` knows
what a terminal is. Widths are counted in cells, so wide characters are safe.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from rich.cells import cell_len

__all__ = [
    "Line",
    "Role",
    "Span",
    "clean",
    "dimmed",
    "divide",
    "fit",
    "justify",
    "line_width",
    "overlay",
    "pack",
    "plain",
    "text_width",
]

Role = Literal[
    "text",
    "strong",
    "muted",
    "faint",
    "title",
    "border",
    "hits",
    "computed",
    "p50",
    "p99",
    "good",
    "warning",
    "bad",
    "accent",
    "track",
    "key",
    "badge",
    "alert",
    "cursor",
    "selected",
]


class Span(NamedTuple):
    """Text in one role; `action` is what a click on it does; `is_dim` fades it."""

    text: str
    role: Role = "text"
    action: str = ""
    is_dim: bool = False


Line = tuple[Span, ...]


def clean(text: str) -> str:
    """`text` without what moves the cursor or joins with its neighbours: any client may send it."""
    if text.isascii() and text.isprintable():
        return text
    kept = (char if char.isprintable() else "?" for char in text if not _is_modifier(char))
    return "".join(kept)


def _is_modifier(char: str) -> bool:
    return not char.isascii() and (cell_len(char) == 0 or "\U0001f3fb" <= char <= "\U0001f3ff")


def plain(line: Line) -> str:
    """The characters alone."""
    return "".join(span.text for span in line)


def line_width(line: Iterable[Span]) -> int:
    """Width in cells."""
    return sum(text_width(span.text) for span in line)


def text_width(text: str) -> int:
    """Width in cells; ASCII needs no table."""
    return len(text) if text.isascii() else cell_len(text)


def divide(line: Line, at: int) -> tuple[Line, Line]:
    """The first `at` cells and the rest; a wide character across the cut becomes blanks."""
    left: list[Span] = []
    for index, span in enumerate(line):
        width = text_width(span.text)
        if width > at:
            head, tail = _split(span.text, at)
            left.append(span._replace(text=head))
            return tuple(left), (span._replace(text=tail), *line[index + 1 :])
        left.append(span)
        at -= width
    return tuple(left), ()


def _split(text: str, at: int) -> tuple[str, str]:
    if text.isascii():
        return text[:at], text[at:]
    used = 0
    for index, char in enumerate(text):
        width = cell_len(char)
        if used + width > at:
            short = at - used
            tail = " " * (width - short) + text[index + 1 :] if short else text[index:]
            return text[:index] + " " * short, tail
        used += width
    return text, ""


def fit(line: Line, width: int, ellipsis: str = "") -> Line:
    """Exactly `width` cells: padded with blanks, or cut with `ellipsis` in its last cell."""
    missing = width - line_width(line)
    if missing >= 0:
        return (*line, Span(" " * missing)) if missing else line
    if not ellipsis or width < 1:
        return divide(line, max(width, 0))[0]
    head, rest = divide(line, width - 1)
    return (*head, rest[0]._replace(text=ellipsis))


def justify(left: Line, right: Line, width: int, ellipsis: str = "") -> Line:
    """`left` and `right` at the two ends of `width` cells; `right` keeps its place."""
    right = fit(right, min(line_width(right), width), ellipsis)
    return (*fit(left, width - line_width(right), ellipsis), *right)


def overlay(line: Line, x: int, patch: Line) -> Line:
    """`line` with `patch` written over it from cell `x`."""
    head, rest = divide(line, x)
    _, tail = divide(rest, line_width(patch))
    return (*head, *patch, *tail)


def pack(fields: Sequence[tuple[int, Line]], width: int, gap: str = "  ") -> Line:
    """As many fields as fit in `width`, joined by `gap`, in their order.

    `fields` are `(rank, line)`: the highest ranks go first when room is short; rank 0 always stays.
    """
    chosen = [field for field in fields if field[1]]
    while len(chosen) > 1 and _packed(chosen, len(gap)) > width:
        worst = max(range(len(chosen)), key=lambda index: chosen[index][0])
        if chosen[worst][0] == 0:
            break
        del chosen[worst]
    joined: list[Span] = []
    for index, (_, line) in enumerate(chosen):
        joined.extend((Span(gap), *line) if index else line)
    return tuple(joined)


def _packed(fields: Sequence[tuple[int, Line]], gap: int) -> int:
    return sum(line_width(line) for _, line in fields) + gap * (len(fields) - 1)


def dimmed(line: Line) -> Line:
    """The same line, faded."""
    return tuple(span._replace(is_dim=True) for span in line)
