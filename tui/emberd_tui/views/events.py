"""Recent events, newest first."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

from emberd.wire.snapshot import EventRecord, Snapshot
from emberd_tui.frame import Frame
from emberd_tui.glyphs import Glyphs
from emberd_tui.parts import box
from emberd_tui.spans import Line, Role, Span, clean, fit

__all__ = ["events"]

_ROLES: dict[str, Role] = {"info": "muted", "warning": "warning", "error": "bad"}


def events(frame: Frame, snapshot: Snapshot, width: int, height: int) -> list[Line]:
    """One line an event: when, how bad, its name and what it says."""
    glyphs = frame.glyphs
    newest = snapshot.events[: -(height - 2) - 1 : -1]
    body = [
        fit((Span(" "), *_event(event, frame.zone, glyphs)), width - 3, glyphs.ellipsis)
        for event in newest
    ]
    if not newest:
        body = [(Span(" nothing has happened yet", "faint"),)]
    return box((Span("Events", "title"),), (), body, width, height, glyphs)


def _event(event: EventRecord, zone: tzinfo | None, glyphs: Glyphs) -> Line:
    when = datetime.fromtimestamp(event.time, UTC).astimezone(zone)
    marks = {"info": glyphs.dot, "warning": glyphs.warning, "error": glyphs.bad}
    role = _ROLES[event.level]
    return (
        Span(f"{when:%H:%M:%S} ", "faint"),
        Span(f"{marks[event.level]} {clean(event.event)}", role),
        Span(f"  {clean(event.message)}", "text"),
    )
