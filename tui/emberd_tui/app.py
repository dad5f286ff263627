"""The Textual application: states and keys to the dashboard, pictures to the canvas."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import ClassVar, Literal, cast

from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.timer import Timer

from emberd.errors import EmberdError
from emberd_tui.asks import Ask
from emberd_tui.canvas import Canvas
from emberd_tui.dashboard import Dashboard
from emberd_tui.frame import Sort
from emberd_tui.glyphs import ASCII, UNICODE
from emberd_tui.keys import key_of
from emberd_tui.layout import Place, Rect
from emberd_tui.names import SCREENS, ScreenName
from emberd_tui.palette import Palette, choose
from emberd_tui.panels import AddedPanel
from emberd_tui.picture import paint
from emberd_tui.source import Source
from emberd_tui.views.clients import visible_rows
from emberd_tui.views.plots import age_at

__all__ = ["DashboardApp", "Theme"]

Theme = Literal["dark", "light"]

_WHEEL_ROWS = 3
_DEBOUNCE_S = 0.25
_MOVES = {"up": -1, "k": -1, "down": 1, "j": 1, "home": -(10**6), "end": 10**6}
_PAGES = {"pageup": -1, "pagedown": 1}


class DashboardApp(App[int]):
    """`emberd top`: the screens on the states and answers of one source."""

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
        debounce_s: float = _DEBOUNCE_S,
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
        self._debounce_s = debounce_s
        self._settling: Timer | None = None

    def compose(self) -> ComposeResult:
        """One canvas over the whole screen."""
        self._canvas = Canvas(self._press)
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

    # Keys, and clicks on what names them.

    async def _press(self, event: events.Key) -> None:
        pages = self.dashboard.pages
        if pages.is_typing and not self._is_move(event.key):
            pages.type(event.key, event.character)
            self._settle_later()
            self._change()
        elif event.key == "s" and not self.dashboard.is_live:
            self.action_start()
        elif key := key_of(event.key, pages.screen):
            await self.run_action(key.action.replace("KEY", event.key))

    def _is_move(self, key: str) -> bool:
        """While words are typed the rows that they find can be gone through."""
        is_question = self.dashboard.pages.view.confirm is not None
        return not is_question and key in ("up", "down", "pageup", "pagedown")

    def _settle_later(self) -> None:
        if self._settling is not None:
            self._settling.stop()
        if not self._debounce_s:
            self._settle()
            return
        self._settling = self.set_timer(self._debounce_s, self._settle)

    def _settle(self) -> None:
        self.dashboard.pages.settle()
        self._change()

    def on_paste(self, event: events.Paste) -> None:
        """Into the line that is being typed."""
        pages = self.dashboard.pages
        if pages.view.prompt is not None:
            pages.type("", " ".join(event.text.split()))
            self._settle_later()
            self._change()

    def action_screen(self, number: str) -> None:
        self.dashboard.pages.go(SCREENS[int(number) - 1])
        self._change()

    def action_turn(self, steps: int) -> None:
        self.dashboard.pages.turn(steps)
        self._change()

    def action_move(self, key: str) -> None:
        picture = self._canvas.picture
        rect = picture.places.get("rows")
        page = max(rect.height - 3, 1) if rect else 1
        step = _MOVES.get(key) or _PAGES[key] * page
        self.dashboard.pages.move(step, picture.most_scroll)
        self._change()

    def action_select(self, index: int) -> None:
        pages = self.dashboard.pages
        found = pages.selected()
        if found is not None and found[0] == index:
            pages.open()
        else:
            pages.select(index)
        self._change()

    def action_open(self) -> None:
        self.dashboard.pages.open()
        self._change()

    def action_maximise(self) -> None:
        self.dashboard.pages.toggle_zoom()
        self._repaint()

    def action_words(self) -> None:
        self.dashboard.pages.prompt()
        self._repaint()

    def action_inspect(self) -> None:
        self.dashboard.pages.prompt("inspect")
        self._repaint()

    def action_confirm(self, action: str) -> None:
        self.dashboard.pages.confirm(action)
        self._repaint()

    def action_decide(self, key: str) -> None:
        self.dashboard.pages.type(key, key)
        self._change()

    def action_level(self) -> None:
        self.dashboard.pages.next_level()
        self._repaint()

    def action_kind(self, steps: int) -> None:
        self.dashboard.pages.next_kind(steps)
        self._change()

    def action_copy(self) -> None:
        text = self.dashboard.pages.copied()
        if text is not None:
            self.copy_to_clipboard(text)
        self._repaint()

    def action_help(self) -> None:
        self.dashboard.toggle_overlay("help")
        self._repaint()

    def action_problems(self) -> None:
        self.dashboard.toggle_overlay("problems")
        self._repaint()

    def action_close(self) -> None:
        self.dashboard.close()
        self._change()

    def action_freeze(self) -> None:
        self.dashboard.toggle_freeze()
        self._repaint()

    def action_zoom(self, step: int) -> None:
        self.dashboard.zoom(step)
        self._repaint()

    def action_next_sort(self) -> None:
        if self.dashboard.pages.screen == "overview":
            self.dashboard.next_sort()
        else:
            self.dashboard.pages.next_sort()
        self._change()

    def action_sort(self, sort: str) -> None:
        if self.dashboard.pages.screen == "overview":
            self.dashboard.sort_by(cast(Sort, sort))
        else:
            self.dashboard.pages.sort_by(sort)
        self._change()

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
        elif self.dashboard.pages.screen == "overview":
            self.action_scroll(step * _WHEEL_ROWS)
        else:
            self.dashboard.pages.move(step * _WHEEL_ROWS, self._canvas.picture.most_scroll)
            self._change()

    def _plot_at(self, event: events.MouseEvent) -> Rect | None:
        found = self._canvas.picture.place_at(event.x, event.y)
        plots: tuple[Place, ...] = ("throughput", "latency", "ratio")
        return found[1] if found and found[0] in plots else None
