"""The Textual application: states and keys to the dashboard, pictures to the canvas."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import ClassVar, Literal, cast

from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType

from emberd_tui.canvas import Canvas
from emberd_tui.dashboard import Dashboard
from emberd_tui.frame import Sort
from emberd_tui.glyphs import ASCII, UNICODE
from emberd_tui.keys import KEYS
from emberd_tui.layout import Place, Rect
from emberd_tui.palette import Palette, choose
from emberd_tui.panels import AddedPanel
from emberd_tui.picture import paint
from emberd_tui.source import Source
from emberd_tui.views.clients import visible_rows
from emberd_tui.views.plots import age_at

__all__ = ["DashboardApp", "Theme"]

Theme = Literal["dark", "light"]

_WHEEL_ROWS = 3


class DashboardApp(App[int]):
    """`emberd top`: the overview on the states of one source."""

    TITLE = "emberd"
    ENABLE_COMMAND_PALETTE = False
    ALLOW_SELECT = False
    CSS = "Screen { overflow: hidden; }"
    # Priority: Textual's own screen takes ctrl+c and the arrows otherwise.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key.codes, key.action, key.help, show=False, priority=True) for key in KEYS
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
        self._is_pointing = False

    def compose(self) -> ComposeResult:
        """One canvas over the whole screen."""
        self._canvas = Canvas()
        yield self._canvas

    def on_mount(self) -> None:
        """Follow the source, and count down while there is nothing to follow."""
        self.run_worker(self._follow(), exit_on_error=True)
        self.set_interval(1.0, self._tick)

    def on_resize(self) -> None:
        """A new size is a new layout."""
        self._repaint()

    async def _follow(self) -> None:
        async for state in self._source.states():
            self.dashboard.take(state)
            self._repaint()

    def _tick(self) -> None:
        if not self.dashboard.is_live:
            self._repaint()

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

    # Keys, and clicks on what names them.

    def action_help(self) -> None:
        self.dashboard.toggle_overlay("help")
        self._repaint()

    def action_problems(self) -> None:
        self.dashboard.toggle_overlay("problems")
        self._repaint()

    def action_close(self) -> None:
        self.dashboard.close()
        self._repaint()

    def action_freeze(self) -> None:
        self.dashboard.toggle_freeze()
        self._repaint()

    def action_zoom(self, step: int) -> None:
        self.dashboard.zoom(step)
        self._repaint()

    def action_next_sort(self) -> None:
        self.dashboard.next_sort()
        self._repaint()

    def action_sort(self, sort: str) -> None:
        self.dashboard.sort_by(cast(Sort, sort))
        self._repaint()

    def action_scroll(self, rows: int) -> None:
        rect = self._canvas.picture.places.get("clients")
        self.dashboard.scroll(rows, visible_rows(rect.height) if rect else 1)
        self._repaint()

    def action_cursor(self, steps: int) -> None:
        self.dashboard.move_cursor(steps)
        self._repaint()

    def action_theme(self) -> None:
        self._light_or_dark = "light" if self._light_or_dark == "dark" else "dark"
        self._repaint()

    def action_retry(self) -> None:
        if not self.dashboard.is_live:
            self._source.retry()

    def action_start(self) -> None:
        if not self.dashboard.is_live:
            self._source.start()

    # The mouse.

    async def on_click(self, event: events.Click) -> None:
        """A click does what the text under it says."""
        action = self._canvas.picture.action_at(event.x, event.y)
        if action:
            await self.run_action(action)
        elif self.dashboard.close():
            self._repaint()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Over a plot the pointer is the cursor of both."""
        found = self._plot_at(event)
        window_s = self.dashboard.window_s
        age_s = age_at(event.x - found.x, found.width, window_s) if found else None
        if age_s is not None or self._is_pointing:
            self._is_pointing = age_s is not None
            self.dashboard.set_cursor(age_s)
            self._repaint()

    def on_leave(self) -> None:
        """The pointer has left the terminal."""
        if self._is_pointing:
            self._is_pointing = False
            self.dashboard.set_cursor(None)
            self._repaint()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel zooms over a plot and scrolls elsewhere."""
        self._wheel(event, -1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel zooms over a plot and scrolls elsewhere."""
        self._wheel(event, 1)

    def _wheel(self, event: events.MouseEvent, step: int) -> None:
        if self._plot_at(event) is not None:
            self.action_zoom(step)
        else:
            self.action_scroll(step * _WHEEL_ROWS)

    def _plot_at(self, event: events.MouseEvent) -> Rect | None:
        found = self._canvas.picture.place_at(event.x, event.y)
        plots: tuple[Place, ...] = ("throughput", "latency")
        return found[1] if found and found[0] in plots else None
