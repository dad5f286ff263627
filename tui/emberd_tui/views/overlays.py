"""What lies over the screen: help, the problems in full, and the notice while no daemon answers."""

from __future__ import annotations

import textwrap

from emberd_tui.frame import Frame
from emberd_tui.glyphs import Glyphs
from emberd_tui.parts import box
from emberd_tui.spans import Line, Span, clean
from emberd_tui.states import Connecting, Live, Lost, NoDaemon, OtherVersion, Refused, Starting
from emberd_tui.views.status import retry_hint

__all__ = ["help_box", "notice_box", "problems_box"]

_TEXT_WIDTH = 52


def help_box(frame: Frame, width: int, height: int) -> list[Line]:
    """Every key of the screen, and on the overview what the marks of the plots mean."""
    glyphs = frame.glyphs
    keys = frame.keys.help(frame.screen)
    widest = max(len(key.shown) for key in keys)
    rows: list[Line] = [
        (
            Span("  "),
            Span(key.shown.rjust(widest), "key", key.action),
            Span(f"  {key.help}"),
        )
        for key in keys
    ]
    if len(rows) > height - 4:
        rows = [*rows[: height - 5], (Span("  "), *_all_commands(frame))]
    legend = (
        (Span(f"{glyphs.hits} ", "hits"), Span("from the cache  ")),
        (Span(f"{glyphs.computed} ", "computed"), Span("computed  ")),
        (Span(f"{glyphs.gap * 2} ", "faint"), Span("no data")),
    )
    if frame.screen == "overview" and height >= len(rows) + 6:
        rows += [(), (Span("  "), *(span for part in legend for span in part))]
    return _boxed("Help", rows, "close", width, height, glyphs)


def _all_commands(frame: Frame) -> Line:
    key = frame.keys.shown("commands") or frame.glyphs.ellipsis
    return Span(key, "key", "commands"), Span(" shows all of them", "muted", "commands")


def problems_box(frame: Frame, width: int, height: int) -> list[Line]:
    """Every problem that the daemon reports, in full."""
    glyphs = frame.glyphs
    problems = frame.snapshot.daemon.problems if frame.snapshot else []
    room = min(width - 8, 76)
    rows: list[Line] = []
    for problem in problems:
        wrapped = textwrap.wrap(clean(problem), room - 3) or [""]
        rows.append((Span(f" {glyphs.warning} ", "warning"), Span(wrapped[0])))
        rows += [(Span("   "), Span(text)) for text in wrapped[1:]]
    if not problems:
        rows = [(Span(f" {glyphs.good} ", "good"), Span("The daemon reports no problem."))]
    return _boxed("Problems", rows, "close", width, height, glyphs)


def notice_box(frame: Frame, width: int, height: int) -> list[Line]:
    """What to say in the middle of the screen before there is anything to show."""
    title, text = _notice(frame)
    rows: list[Line] = [()]
    for paragraph in text:
        wrapped = textwrap.wrap(clean(paragraph), min(width - 8, _TEXT_WIDTH)) or [""]
        rows += [(Span("  "), Span(part)) for part in wrapped]
        rows.append(())
    if hint := retry_hint(frame):
        rows += [hint, ()]
    if frame.offers:
        back = Span(f" back to {clean(frame.offers[0])}", "muted", "connect")
        rows += [(Span("  "), Span(frame.keys.shown("connect"), "key", "connect"), back), ()]
    return _boxed(title, rows, "", width, height, frame.glyphs)


def _notice(frame: Frame) -> tuple[str, list[str]]:
    where = frame.address or "the usual socket"
    match frame.state:
        case NoDaemon(reason=reason):
            return "No daemon", [reason]
        case Refused(reason=reason):
            return "Refused", [reason]
        case OtherVersion(reason=reason):
            advice = "Update the older of the two, then restart the daemon with `emberd restart`."
            return "Another version", [reason, advice]
        case Starting():
            return "Starting", ["Starting the daemon. The first start of a model takes seconds."]
        case Lost(reason=reason):
            return "Connection lost", [reason]
        case Connecting() | Live():
            return "Connecting", [f"Connecting to {where}."]


def _boxed(
    title: str, rows: list[Line], action: str, width: int, height: int, glyphs: Glyphs
) -> list[Line]:
    widest = max(sum(len(span.text) for span in row) for row in rows)
    inner = min(max(widest + 2, len(title) + 16), width - 4)
    legend: Line = (Span("Esc", "key", action),) if action else ()
    tall = min(len(rows) + 2, height - 2)
    return box((Span(title, "title"),), legend, rows, inner + 2, tall, glyphs)
