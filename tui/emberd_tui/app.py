"""The Textual application: what a key means where, and what is being typed."""

from __future__ import annotations

from textual import events
from textual.timer import Timer

from emberd_tui.keys import key_of
from emberd_tui.mouse import Mouse
from emberd_tui.shell import Theme

__all__ = ["DashboardApp", "Theme"]


class DashboardApp(Mouse):
    """`emberd top`: the screens on the states and answers of one source."""

    _settling: Timer | None = None

    async def press(self, event: events.Key) -> None:
        """Letters to what is being typed; else what the key is on this screen."""
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
