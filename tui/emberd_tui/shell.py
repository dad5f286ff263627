"""What the application stands on: states from the source, asks to it, pictures to the canvas."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import ClassVar, Literal

from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType

from emberd.errors import EmberdError
from emberd_tui.asks import Ask
from emberd_tui.canvas import Canvas
from emberd_tui.dashboard import Dashboard
from emberd_tui.glyphs import ASCII, UNICODE
from emberd_tui.names import ScreenName
from emberd_tui.palette import Palette, choose
from emberd_tui.panels import AddedPanel
from emberd_tui.picture import paint
from emberd_tui.source import Source

__all__ = ["Shell", "Theme"]

Theme = Literal["dark", "light"]


class Shell(App[int]):
    """One canvas over the whole screen; keys and the mouse are the subclasses' part."""

    TITLE = "emberd"
    ENABLE_COMMAND_PALETTE = False
    ALLOW_SELECT = False
    CSS = "Screen { overflow: hidden; }"
    # Priority: Textual's own screen takes it otherwise. All other keys come from the canvas.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "quit", "Quit", show=False, priority=True)
    ]

    def __init__(
        self,
        source: Source,
        *,
        ascii: bool = False,  # noqa: A002 - the option's name
        theme: Theme = "dark",
        palette: Palette | None = None,
        clock: Callable[[], float] = time.monotonic,
        zone: tzinfo | None = None,
        panels: Sequence[AddedPanel] = (),
        debounce_s: float = 0.25,
    ) -> None:
        # The terminal's own 16 colours must pass through as they are, and NO_COLOR as none.
        super().__init__(ansi_color=True)
        self.dashboard = Dashboard(
            address=source.address,
            can_start=source.can_start,
            glyphs=ASCII if ascii else UNICODE,
            zone=zone,
            panels=panels,
        )
        self._source = source
        self._clock = clock
        self._light_or_dark: Theme = theme
        self._fixed_palette = palette
        self._is_paint_due = False
        self._debounce_s = debounce_s

    def compose(self) -> ComposeResult:
        """One canvas over the whole screen."""
        self._canvas = Canvas(self.press)
        yield self._canvas

    def on_mount(self) -> None:
        """Follow the source, and count down while there is nothing to follow."""
        self._canvas.focus()
        self.run_worker(self._follow(), exit_on_error=True)
        self.set_interval(1.0, self._tick)

    def on_resize(self) -> None:
        """A new size is a new layout."""
        self._repaint()

    async def _follow(self) -> None:
        async for state in self._source.states():
            self.dashboard.take(state)
            self._change()

    def _tick(self) -> None:
        if not self.dashboard.is_live:
            self._repaint()

    def _change(self) -> None:
        """Paint, and ask the daemon what is wanted now."""
        self._repaint()
        for screen, ask in self.dashboard.due(self._clock()):
            self.run_worker(self._ask(screen, ask), exit_on_error=True)

    async def _ask(self, screen: ScreenName, ask: Ask) -> None:
        try:
            answer = await self._source.ask(ask)
        except EmberdError as exc:
            self.dashboard.answer(screen, ask, exc)
        else:
            self.dashboard.answer(screen, ask, answer)
        self._change()

    def _repaint(self) -> None:
        """Paint once, after everything that is waiting to be handled."""
        if not self._is_paint_due:
            self._is_paint_due = True
            self.call_later(self._paint)

    def _paint(self) -> None:
        self._is_paint_due = False
        width, height = self.size
        frame = self.dashboard.frame(self._clock())
        self._canvas.show(paint(frame, width, height), self._palette())

    def _palette(self) -> Palette:
        color_system = self.console.color_system
        return self._fixed_palette or choose(
            self._light_or_dark, color_system, no_color=self.no_color
        )

    async def press(self, event: events.Key) -> None:
        """A key that the canvas was given."""
        raise NotImplementedError
