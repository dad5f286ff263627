"""The mouse: clicks on what names an action, the pointer over plots, the wheel."""

from __future__ import annotations

from textual import events

from emberd_tui.layout import Place, Rect
from emberd_tui.recordings import Recordings
from emberd_tui.views.plots import age_at

__all__ = ["Mouse"]

_WHEEL_ROWS = 3
_PLOTS: tuple[Place, ...] = ("throughput", "latency", "ratio")


class Mouse(Recordings):
    """It does the same as the keys."""

    _is_pointing = False

    async def on_click(self, event: events.Click) -> None:
        """A click does what the text under it says."""
        action = self._canvas.picture.action_at(event.x, event.y)
        if action:
            await self.run_action(action)
        elif self.dashboard.close():
            self._repaint()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Over a plot the pointer is the cursor of both."""
        under = self._canvas.picture.place_at(event.x, event.y)
        self._pointed = under[0] if under else ""
        found = self._plot_at(event)
        window_s = self.dashboard.window_s
        age_s = age_at(event.x - found.x, found.width, window_s) if found else None
        if age_s is not None or self._is_pointing:
            self._is_pointing = age_s is not None
            self.dashboard.set_cursor(age_s)
            self._repaint()

    def on_leave(self) -> None:
        """The pointer has left the terminal."""
        self._pointed = ""
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
        if self.dashboard.overlay == "commands":
            self.dashboard.move_command(step)
            self._repaint()
        elif self._plot_at(event) is not None:
            self.action_zoom(step)
        elif self._has_rows():
            self.dashboard.pages.move(step * _WHEEL_ROWS, self._canvas.picture.most_scroll)
            self._change()

    def _has_rows(self) -> bool:
        places = self._canvas.picture.places
        return self.dashboard.pages.screen != "overview" or "clients" in places

    def _plot_at(self, event: events.MouseEvent) -> Rect | None:
        found = self._canvas.picture.place_at(event.x, event.y)
        return found[1] if found and found[0] in _PLOTS else None
