"""The line of commands and what it finds, over the screen."""

from __future__ import annotations

from emberd_tui.commands import Finding, found_commands
from emberd_tui.frame import Frame
from emberd_tui.parts import box
from emberd_tui.spans import Line, Span, clean, fit, line_width

__all__ = ["command_box"]

_WIDTH = 72
_ROWS = 18


def command_box(frame: Frame, width: int, height: int) -> list[Line]:
    """What is typed, and a line for each command that fits; a click runs it."""
    glyphs, command = frame.glyphs, frame.command
    inner = min(_WIDTH, width - 4) - 2
    visible = min(_ROWS, height - 7)
    found = found_commands(frame)
    selected = min(command.selected, max(len(found) - 1, 0))
    first = max(min(selected - visible // 2, len(found) - visible), 0)
    typed = clean(command.text)[-(inner - 4) :]
    rows: list[Line] = [(Span(" : ", "key"), Span(typed, "strong"), Span("_", "cursor")), ()]
    for index, finding in enumerate(found[first : first + visible], start=first):
        mark = glyphs.selected if index == selected else " "
        line = _row(finding, mark, inner)
        if index == selected:
            line = tuple(span._replace(role="selected") for span in line)
        rows.append(tuple(span._replace(action=f"command({index})") for span in line))
    if not found:
        rows.append((Span("   nothing is called so", "faint"),))
    shown = f"{first + 1}-{min(first + visible, len(found))} of {len(found)}" if found else "0"
    legend: Line = (Span(f"{shown}  ", "muted"), Span("Esc", "key", "close"))
    return box((Span("Commands", "title"),), legend, rows, inner + 2, visible + 4, glyphs)


def _row(finding: Finding, mark: str, width: int) -> Line:
    title, keys, _ = finding.command
    line: Line = (Span(f"{mark} "),)
    for index, letter in enumerate(title):
        line = (*line, Span(letter, "title" if index in finding.letters else "text"))
    keys_line: Line = (Span(f" {keys} ", "key"),)
    return (*fit(line, width - line_width(keys_line)), *keys_line)
