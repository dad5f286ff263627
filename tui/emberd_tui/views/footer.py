"""The last line: the keys that matter now."""

from __future__ import annotations

from emberd_tui.frame import Frame
from emberd_tui.key_names import shown
from emberd_tui.keys import Key
from emberd_tui.spans import Line, Span, fit, pack

__all__ = ["footer"]


def footer(frame: Frame, width: int) -> list[Line]:
    """Keys and what they do; a click does the same."""
    keys = [key for key in frame.keys.of(frame.screen) if key.codes]
    fields: list[tuple[int, Line]] = []
    for key in keys:
        if key.label:
            label = "Resume" if key.name == "freeze" and frame.is_frozen else key.label
            together = [key] if not key.group else [k for k in keys if k.group == key.group]
            fields.append((key.rank, _field(together, label)))
    return [fit((Span(" "), *pack(fields, width - 2)), width)]


def _field(keys: list[Key], label: str) -> Line:
    line: Line = ()
    for key in keys:
        line = (*line, *((Span("/", "faint"),) if line else ()))
        line = (*line, Span(shown(key.codes[0]), "key", key.action))
    action = keys[0].action if len(keys) == 1 else ""
    return (*line, Span(f" {label}", "muted", action))
