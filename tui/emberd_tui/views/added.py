"""The panels that other packages add, side by side."""

from __future__ import annotations

import io

from rich.console import Console

from emberd.wire.snapshot import Snapshot
from emberd_tui.frame import Frame
from emberd_tui.glyphs import Glyphs
from emberd_tui.panels import PanelContent
from emberd_tui.parts import box
from emberd_tui.spans import Line, Span, clean

__all__ = ["added"]

_LEAST_WIDTH = 24


def added(frame: Frame, snapshot: Snapshot, width: int, height: int) -> list[Line]:
    """One box a panel, as many as there is room for."""
    shown = frame.panels[: max(width // _LEAST_WIDTH, 1)]
    edges = [round(width * index / len(shown)) for index in range(len(shown) + 1)]
    boxes = [
        _boxed(panel, edges[index + 1] - edges[index], height, frame.glyphs)
        for index, panel in enumerate(shown)
    ]
    return [tuple(span for line in row for span in line) for row in zip(*boxes, strict=True)]


def _boxed(panel: PanelContent, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    texts, is_fault = _texts(panel, width - 4)
    body: list[Line] = [
        (Span(f" {clean(text.expandtabs())}", "bad" if is_fault else "text"),)
        for text in texts[: height - 2]
    ]
    return box((Span(clean(panel.title), "title"),), (), body, width, height, glyphs)


def _texts(panel: PanelContent, width: int) -> tuple[list[str], bool]:
    content = panel.content
    if isinstance(content, str) and not panel.is_fault:
        return content.splitlines(), False
    try:
        console = Console(file=io.StringIO(), width=width, color_system=None, markup=False)
        with console.capture() as capture:
            console.print(content, soft_wrap=False, highlight=False)
        return capture.get().splitlines(), panel.is_fault
    except BaseException as exc:  # the panel's own code runs here too
        return [f"{type(exc).__name__}: {exc}"], True
