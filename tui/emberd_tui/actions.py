"""What keys and clicks can do: one method an action, by the names in `keys`."""

from __future__ import annotations

from typing import cast

from emberd_tui.frame import Sort
from emberd_tui.names import SCREENS
from emberd_tui.picture import panels_of
from emberd_tui.shell import Shell, Theme

__all__ = ["Actions"]

_MOVES = {"up": -1, "down": 1, "first": -(10**6), "last": 10**6}
_PAGES = {"page_up": -1, "page_down": 1}


class Actions(Shell):
    """Each changes the dashboard, and has it painted."""

    _pointed = ""
    """The panel under the pointer."""

    def action_screen(self, number: str) -> None:
        self.dashboard.pages.go(SCREENS[int(number) - 1])
        self._change()

    def action_turn(self, steps: int) -> None:
        self.dashboard.pages.turn(steps)
        self._change()

    def action_move(self, where: str) -> None:
        picture = self._canvas.picture
        rect = picture.places.get("rows") or picture.places.get("clients")
        page = max(rect.height - 3, 1) if rect else 1
        step = _MOVES.get(where) or _PAGES[where] * page
        self._show_rows()
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
        self._show_rows()
        self.dashboard.pages.open()
        self._change()

    def action_request(self) -> None:
        self.dashboard.pages.show_request()
        self._change()

    def action_maximise(self) -> None:
        pages = self.dashboard.pages
        if pages.screen == "overview":
            frame = self.dashboard.frame(self._clock())
            pages.zoom_panel(panels_of(frame), self._pointed)
        else:
            pages.toggle_zoom()
        self._repaint()

    def _show_rows(self) -> None:
        """Where the overview has no room for its rows, they take the whole screen."""
        pages = self.dashboard.pages
        if pages.screen == "overview" and "clients" not in self._canvas.picture.places:
            pages.show_panel("clients")

    def action_words(self) -> None:
        self._show_rows()
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

    def action_commands(self) -> None:
        self.dashboard.toggle_overlay("commands")
        self._repaint()

    async def action_command(self, index: int | None = None) -> None:
        action = self.dashboard.take_command(index)
        self._change()
        if action:
            await self.run_action(action)

    def action_connect(self) -> None:
        self.dashboard.pages.prompt("connect", self.dashboard.offers)
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

    def action_window(self, window_s: float) -> None:
        self.dashboard.set_window(window_s)
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

    def action_cursor(self, steps: int) -> None:
        self.dashboard.move_cursor(steps)
        self._repaint()

    def action_theme(self, name: str = "") -> None:
        other: Theme = "light" if self._light_or_dark == "dark" else "dark"
        self._light_or_dark = cast(Theme, name) if name else other
        self._repaint()

    def action_retry(self) -> None:
        if not self.dashboard.is_live:
            self._source.retry()

    def action_start(self) -> None:
        if self.dashboard.is_live:
            return
        if self._source.can_start:
            self._source.start()
        else:
            self.dashboard.pages.say(
                "Only your own daemon, on its usual socket, is started.", is_error=True
            )
        self._repaint()
