"""What keys and clicks can do: one method an action, by the names in `keys`."""

from __future__ import annotations

from typing import cast

from emberd_tui.frame import Sort
from emberd_tui.names import SCREENS
from emberd_tui.shell import Shell
from emberd_tui.views.clients import visible_rows

__all__ = ["Actions"]

_MOVES = {"up": -1, "k": -1, "down": 1, "j": 1, "home": -(10**6), "end": 10**6}
_PAGES = {"pageup": -1, "pagedown": 1}


class Actions(Shell):
    """Each changes the dashboard, and has it painted."""

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
