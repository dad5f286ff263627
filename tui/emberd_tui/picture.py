"""The whole screen as lines: a pure function of a frame and a size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from emberd.wire.snapshot import Snapshot
from emberd_tui.frame import Frame
from emberd_tui.layout import MIN_HEIGHT, MIN_WIDTH, Place, Rect, arrange
from emberd_tui.spans import Line, Span, dimmed, fit, line_width, overlay
from emberd_tui.states import Live
from emberd_tui.views.added import added
from emberd_tui.views.body import Body
from emberd_tui.views.cache import cache
from emberd_tui.views.clients import clients
from emberd_tui.views.collections import collection_lines, collections
from emberd_tui.views.command_box import command_box
from emberd_tui.views.engine import engine
from emberd_tui.views.events import events
from emberd_tui.views.footer import footer
from emberd_tui.views.header import header
from emberd_tui.views.message_line import has_message, message_line
from emberd_tui.views.models import models
from emberd_tui.views.overlays import help_box, notice_box, problems_box
from emberd_tui.views.pipeline import pipeline
from emberd_tui.views.plots import latency, throughput
from emberd_tui.views.plugins import plugin_lines, plugins
from emberd_tui.views.requests import requests
from emberd_tui.views.screens import screen
from emberd_tui.views.status import status

__all__ = ["Picture", "paint", "panels_of"]

_Panel = Callable[[Frame, Snapshot, int, int], list[Line]]

_PANELS: dict[Place, _Panel] = {
    "throughput": lambda frame, _, width, height: throughput(frame, width, height),
    "latency": lambda frame, _, width, height: latency(frame, width, height),
    "pipeline": pipeline,
    "cache": cache,
    "engine": engine,
    "requests": requests,
    "clients": clients,
    "index": collections,
    "models": models,
    "plugins": plugins,
    "events": events,
    "added": added,
}


@dataclass(frozen=True, slots=True)
class Picture:
    """Lines of exactly the screen's width, and where the panels are."""

    lines: list[Line]
    places: dict[Place, Rect]
    most_scroll: int = 0
    """How far what is open can be scrolled."""

    def place_at(self, x: int, y: int) -> tuple[Place, Rect] | None:
        """The panel under a cell."""
        return next(
            ((place, rect) for place, rect in self.places.items() if rect.contains(x, y)), None
        )

    def action_at(self, x: int, y: int) -> str:
        """What a click on a cell does; empty where it does nothing."""
        if not 0 <= y < len(self.lines):
            return ""
        for span in self.lines[y]:
            x -= line_width((span,))
            if x < 0:
                return span.action
        return ""


def paint(frame: Frame, width: int, height: int) -> Picture:
    """The screen that is shown at this size, with what lies over it."""
    if width < MIN_WIDTH or height < MIN_HEIGHT:
        return Picture(_too_small(frame, width, height), {})
    snapshot = frame.snapshot
    lines: list[Line] = [()] * height
    lines[0], lines[1] = header(frame, width)[0], status(frame, width)[0]
    lines[-1] = footer(frame, width)[0]
    body = Body([(Span(" " * width),)] * (height - 3), {})
    if snapshot is not None and frame.screen == "overview":
        body = _overview(frame, snapshot, width, height)
    elif snapshot is not None:
        body = screen(frame, snapshot, width, height - 4)
    is_live = isinstance(frame.state, Live)
    lines[2 : 2 + len(body.lines)] = (
        body.lines if is_live else [dimmed(line) for line in body.lines]
    )
    if frame.screen != "overview" or has_message(frame):
        lines[-2] = message_line(frame, width)
    if snapshot is None:
        _lay_over(lines, notice_box(frame, width, height - 2), width)
    _lay_over(lines, _overlay_box(frame, width, height), width)
    if frame.view.prompt or frame.view.confirm:
        lines[-2] = message_line(frame, width)  # whoever types must see it
    places: dict[Place, Rect] = {
        "header": Rect(0, 0, width, 1),
        "status": Rect(0, 1, width, 1),
        "footer": Rect(0, height - 1, width, 1),
    }
    places |= {place: rect._replace(y=rect.y + 2) for place, rect in body.places.items()}
    return Picture(lines, places, body.most_scroll)


def panels_of(frame: Frame) -> list[Place]:
    """The panels of the overview that have something to show, in the order of the screen; the
    pipeline is one line and no panel."""
    snapshot = frame.snapshot
    empty = {
        "pipeline": True,
        "plugins": snapshot is None or not plugin_lines(snapshot),
        "index": snapshot is None or not collection_lines(snapshot),
        "added": not frame.panels,
    }
    return [place for place in _PANELS if not empty.get(place, False)]


def _overview(frame: Frame, snapshot: Snapshot, width: int, height: int) -> Body:
    zoomed = next((place for place in _PANELS if place == frame.view.panel), None)
    if zoomed is not None:
        lines = _PANELS[zoomed](frame, snapshot, width, height - 3)
        return Body(lines, {zoomed: Rect(0, 0, width, height - 3)})
    places = arrange(
        width,
        height,
        plugin_lines=plugin_lines(snapshot),
        index_lines=collection_lines(snapshot),
        has_added=bool(frame.panels),
    )
    lines = _panels(frame, snapshot, places, height)
    found = {place: rect._replace(y=rect.y - 2) for place, rect in places.items() if rect.y >= 2}
    found.pop("footer", None)
    return Body(lines, found)


def _panels(frame: Frame, snapshot: Snapshot, places: dict[Place, Rect], height: int) -> list[Line]:
    rows: list[Line] = [()] * height
    for place, panel in _PANELS.items():
        if (rect := places.get(place)) is not None:
            drawn = panel(frame, snapshot, rect.width, rect.height)
            for index, line in enumerate(drawn):
                # In reading order: each row is built from left to right, and only appended to.
                rows[rect.y + index] = (*rows[rect.y + index], *line)
    return rows[2:-1]


def _overlay_box(frame: Frame, width: int, height: int) -> list[Line]:
    if frame.overlay == "help":
        return help_box(frame, width, height)
    if frame.overlay == "commands":
        return command_box(frame, width, height)
    return problems_box(frame, width, height) if frame.overlay == "problems" else []


def _lay_over(lines: list[Line], patch: list[Line], width: int) -> None:
    if not patch:
        return
    margin = Span(" ")
    x = (width - line_width(patch[0])) // 2 - 1
    y = max((len(lines) - len(patch)) // 2, 0)
    for index, line in enumerate(patch[: len(lines) - y]):
        lines[y + index] = overlay(lines[y + index], x, (margin, *line, margin))


def _too_small(frame: Frame, width: int, height: int) -> list[Line]:
    text = f"emberd needs {MIN_WIDTH}x{MIN_HEIGHT} cells; this is {width}x{height}."
    lines: list[Line] = [fit((), width)] * height
    for index, part in enumerate((text, f"{frame.keys.shown('quit')} quits.")[:height]):
        lines[index] = fit((Span(part, "warning"),), width, frame.glyphs.ellipsis)
    return lines
