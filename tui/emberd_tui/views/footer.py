"""The last line: the keys that matter now."""

from __future__ import annotations

from emberd_tui.frame import Frame
from emberd_tui.keys import keys_of
from emberd_tui.spans import Line, Span, fit, pack

__all__ = ["footer"]


def footer(frame: Frame, width: int) -> list[Line]:
    """Keys and what they do; a click does the same."""
    fields: list[tuple[int, Line]] = []
    for key in keys_of(frame.screen):
        if key.label:
            label = "Resume" if key.action == "freeze" and frame.is_frozen else key.label
            fields.append((key.rank, _field(key.shown, label, key.action)))
    return [fit((Span(" "), *pack(fields, width - 2)), width)]


def _field(shown: str, label: str, action: str) -> Line:
    if label.startswith("/"):  # two keys in one entry: the second opposes the first
        other, _, label = label[1:].partition(" ")
        return (
            Span(shown, "key", action),
            Span("/", "faint"),
            Span(other, "key", action.replace("-1", "1")),
            Span(f" {label}", "muted"),
        )
    return Span(shown, "key", action), Span(f" {label}", "muted", action)
