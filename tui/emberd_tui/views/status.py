"""The second line: health while live, and what is going on while not."""

from __future__ import annotations

import math

from emberd.wire.snapshot import Snapshot
from emberd_tui.format import count, rate
from emberd_tui.frame import Frame
from emberd_tui.parts import figure
from emberd_tui.spans import Line, Role, Span, clean, fit, justify, line_width, pack
from emberd_tui.states import Connecting, Live, Lost, NoDaemon, OtherVersion, Refused, Starting
from emberd_tui.tape import Playback
from emberd_tui.views.plugins import plugin_problems
from emberd_tui.views.requests import latency_fields

__all__ = ["retry_hint", "status"]

_WIDE = 120  # the first line has the address from about here on
_ADDRESS = 28


def status(frame: Frame, width: int) -> list[Line]:
    """One line, `width` cells; blank while a notice says it all."""
    inner = width - 2
    line: Line
    if frame.snapshot is None:
        return [fit((), width)]
    if isinstance(frame.state, Live):
        is_ok = frame.snapshot.daemon.health == "ok"
        line = (_ok if is_ok else _degraded)(frame, frame.snapshot, inner)
    else:
        line = _away(frame, inner)
    return [fit((Span(" "), *line), width, frame.glyphs.ellipsis)]


def _ok(frame: Frame, snapshot: Snapshot, width: int) -> Line:
    stats = snapshot.requests
    failed: Role = "bad" if stats.failed else "text"
    left: list[tuple[int, Line]] = [
        (0, (Span(f"{frame.glyphs.good} ok", "good"),)),
        (0, plugin_problems(snapshot, frame.glyphs)),
        (2, _elsewhere(frame, width)),
        (3, figure(rate(stats.per_s), " requests/s", 16, "strong")),
        (4, figure(count(stats.in_flight), " in flight", 13, "strong")),
        (5, figure(count(stats.failed), " failed", 10, failed)),
        *((min(rank, 1), line) for rank, line in latency_fields(stats.latency, frame.glyphs)[:3]),
    ]
    return pack(left, width)


def _elsewhere(frame: Frame, width: int) -> Line:
    """The address, once there have been several, where the first line has no room for it."""
    if not frame.offers or width >= _WIDE:
        return ()
    tail = frame.address[-_ADDRESS:]
    return (Span(clean(tail), "faint", "connect"),)


def _degraded(frame: Frame, snapshot: Snapshot, width: int) -> Line:
    problems = snapshot.daemon.problems
    more = f" (+{len(problems) - 1})" if len(problems) > 1 else ""
    left: Line = (
        Span(f"{frame.glyphs.warning} degraded  ", "warning", "problems"),
        Span(clean(problems[0]) if problems else "see emberd logs", "text", "problems"),
    )
    right: Line = (Span(f"{more}  ", "muted"), *_key(frame, "problems", "more"))
    return justify(left, right, width, frame.glyphs.ellipsis)


def _away(frame: Frame, width: int) -> Line:
    glyphs = frame.glyphs
    head: Line
    match frame.state:
        case Lost(reason=reason):
            head = (Span(f" {glyphs.bad} lost ", "alert"), Span(f"  {clean(reason)}"))
        case NoDaemon(reason=reason) | Refused(reason=reason) | OtherVersion(reason=reason):
            head = (Span(f"{glyphs.bad} ", "bad"), Span(clean(reason)))
        case Starting():
            head = (Span(f"{glyphs.waiting} ", "warning"), Span("starting the daemon"))
        case Connecting() | Live():
            head = (Span(f"{glyphs.waiting} ", "warning"), Span(f"connecting to {frame.address}"))
    tail = retry_hint(frame)
    if line_width(tail) > width - 24:
        tail = tail[:1]
    return justify(head, tail, width, glyphs.ellipsis)


def retry_hint(frame: Frame) -> Line:
    """The countdown and the keys that help; nothing where no retry is due."""
    state = frame.state
    if isinstance(state, Connecting | Starting | Live) or isinstance(frame.tape, Playback):
        return ()
    left = max(math.ceil(state.retry_at - frame.clock), 0)
    line: Line = (
        Span(f"  retry in {left} s" if left else "  retrying   ", "warning"),
        Span("   "),
        *_key(frame, "retry", "now"),
    )
    if frame.can_start and isinstance(state, Lost | NoDaemon):
        line = (*line, Span("   "), *_key(frame, "start", "start daemon"))
    return line


def _key(frame: Frame, name: str, label: str) -> Line:
    """The key of an action and what it does; a click does it where it has none."""
    return Span(frame.keys.shown(name), "key", name), Span(f" {label}", "muted", name)
