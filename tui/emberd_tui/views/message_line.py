"""The line above the footer: what is being typed, what is asked, what has come of the last key."""

from __future__ import annotations

from emberd_tui.frame import Frame
from emberd_tui.spans import Line, Span, clean, fit, justify, line_width

__all__ = ["has_message", "message_line"]

_LABELS = {"filter": "Filter", "search": "Search", "inspect": "Text", "connect": "Connect to"}


def has_message(frame: Frame) -> bool:
    """There is something to say; the overview has room for the line only then."""
    view = frame.view
    return bool(view.confirm or view.prompt or view.message or view.text)


def message_line(frame: Frame, width: int) -> Line:
    """One line, `width` cells; blank where there is nothing to say."""
    view, glyphs = frame.view, frame.glyphs
    if view.confirm is not None:
        question = (
            Span(f" {glyphs.warning} ", "warning"),
            Span(clean(view.confirm.question), "strong"),
        )
        answers = (
            *(Span("  y", "key", "decide('y')"), Span(" yes", "muted", "decide('y')")),
            *(Span("  n", "key", "decide('n')"), Span(" no ", "muted", "decide('n')")),
        )
        return justify(question, answers, width, glyphs.ellipsis)
    if view.prompt is not None:
        label: Line = (Span(f" {_LABELS[view.prompt.purpose]}: ", "key"),)
        keys: Line = (
            Span("  Enter", "key"),
            Span(" done", "muted"),
            Span("  Esc", "key"),
            Span(" leave ", "muted"),
        )
        room = width - line_width(label) - line_width(keys) - 1
        # The end is where the letters come.
        text = clean(view.prompt.text)
        while line_width((Span(text),)) > room:
            text = text[1:]
        typed: Line = (*label, Span(text, "strong"), Span("_", "cursor"))
        if view.prompt.offers and not text:
            typed = (*typed, Span(f" {clean(view.prompt.offers[0])}", "faint"))
        return justify(typed, keys, width, glyphs.ellipsis)
    if view.message is not None:
        mark = (
            Span(f" {glyphs.bad} ", "bad")
            if view.message.is_error
            else Span(f" {glyphs.good} ", "good")
        )
        return fit((mark, Span(clean(view.message.text))), width, glyphs.ellipsis)
    if view.text:
        slash = frame.keys.shown("search" if frame.screen == "index" else "filter") or "/"
        said: Line = (Span(f" {slash}", "key", "words"), Span(clean(view.text), "strong", "words"))
        leave = " back " if view.origin else " all "
        escape: Line = (Span("Esc", "key", "close"), Span(leave, "muted", "close"))
        return justify(said, escape, width, glyphs.ellipsis)
    return fit((), width)
