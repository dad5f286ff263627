"""The last line: the keys that matter now."""

from __future__ import annotations

from emberd_tui.frame import Frame
from emberd_tui.key_names import shown
from emberd_tui.keys import Key
from emberd_tui.spans import Line, Span, fit, pack
from emberd_tui.tape import Playback, Taping

__all__ = ["footer"]


def footer(frame: Frame, width: int) -> list[Line]:
    """Keys and what they do; a click does the same."""
    keys = [key for key in frame.keys.of(frame.screen) if key.codes]
    fields: list[tuple[int, Line]] = []
    for key in keys:
        if key.label:
            label = _label(frame, key)
            together = [key] if not key.group else [k for k in keys if k.group == key.group]
            fields.append((key.rank, _field(together, label)))
    return [fit((Span(" "), *pack(fields, width - 2)), width)]


def _label(frame: Frame, key: Key) -> str:
    if key.action == "freeze" and frame.is_frozen:
        return "Resume"
    if key.name == "record" and isinstance(frame.tape, Taping):
        return "Stop"
    is_playing = isinstance(frame.tape, Playback) and frame.tape.state == "playing"
    return "Play" if key.action == "pause" and not is_playing else key.label


def _field(keys: list[Key], label: str) -> Line:
    line: Line = ()
    for key in keys:
        line = (*line, *((Span("/", "faint"),) if line else ()))
        line = (*line, Span(shown(key.codes[0]), "key", key.action))
    action = keys[0].action if len(keys) == 1 else ""
    return (*line, Span(f" {label}", "muted", action))
