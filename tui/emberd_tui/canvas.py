"""The one widget: shows a picture through Textual's Line API and repaints only what changed.

A table or a chart widget for each panel costs more than the whole of this: here a second's new
snapshot is a comparison of two pictures and a few short writes to the terminal.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from rich.segment import Segment
from rich.style import Style
from textual.events import Key
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from emberd_tui.diff import changed
from emberd_tui.palette import DARK, Palette
from emberd_tui.picture import Picture
from emberd_tui.spans import Line

__all__ = ["Canvas", "changed_regions"]


class Canvas(Widget):
    """Shows the last picture that it was given; `press` is called with every key."""

    DEFAULT_CSS = "Canvas { width: 1fr; height: 1fr; }"

    can_focus = True

    def __init__(self, press: Callable[[Key], Awaitable[None]]) -> None:
        super().__init__()
        self._press = press
        self.picture = Picture([], {})
        self._palette = DARK

    def show(self, picture: Picture, palette: Palette) -> None:
        """Replace the picture; only cells that differ are written."""
        before, self.picture = self.picture, picture
        if palette is not self._palette or len(before.lines) != len(picture.lines):
            self._palette = palette
            self.refresh()
        elif regions := changed_regions(before.lines, picture.lines):
            self.refresh(*regions)

    async def on_key(self, event: Key) -> None:
        """Every key is the dashboard's; Textual's own meanings of Tab and the arrows are not."""
        event.stop()
        event.prevent_default()
        await self._press(event)

    def render_line(self, y: int) -> Strip:
        """One line of the picture as a strip."""
        if y >= len(self.picture.lines):
            return Strip.blank(self.size.width, self._palette.style("text"))
        return Strip(_segments(self.picture.lines[y], self._palette))


def changed_regions(before: list[Line], after: list[Line]) -> list[Region]:
    """Where two pictures of the same height differ, one region a line."""
    return [
        Region(found[0], y, found[1] - found[0], 1)
        for y, (old, new) in enumerate(zip(before, after, strict=True))
        if (found := changed(old, new)) is not None
    ]


def _segments(line: Line, palette: Palette) -> list[Segment]:
    """Runs of one style; blanks take the style before them where that looks the same."""
    segments: list[Segment] = []
    text, style = "", None
    for span in line:
        found = palette.style(span.role, span.is_dim)
        if style is None or found is style or _is_seamless(span.text, found, style):
            style = found if style is None else style
            text += span.text
        else:
            segments.append(Segment(text, style))
            text, style = span.text, found
    return [*segments, Segment(text, style)]


def _is_seamless(text: str, style: Style, before: Style) -> bool:
    return (
        text.isspace() and style.bgcolor == before.bgcolor and not (style.reverse or before.reverse)
    )
