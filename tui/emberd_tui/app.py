"""The Textual application: what a key means where, and what is being typed."""

from __future__ import annotations

from textual import events
from textual.timer import Timer

from emberd_tui.mouse import Mouse
from emberd_tui.shell import Theme

__all__ = ["DashboardApp", "Theme"]


class DashboardApp(Mouse):
    """`emberd top`: the screens on the states and answers of one source."""

    _settling: Timer | None = None

    async def press(self, event: events.Key) -> None:
        """Letters to what is being typed; else what the key is on this screen."""
        pages = self.dashboard.pages
        if self.dashboard.overlay == "commands":
            await self._press_command(event)
        elif (address := pages.entered(event.key)) is not None:
            if address:
                self._connect(address)
            self._repaint()
        elif pages.is_typing and not self._is_move(event.key):
            pages.type(event.key, event.character)
            self._settle_later()
            self._change()
        else:
            is_live = self.dashboard.is_live
            message = pages.view.message
            key = self._keys.watching().find(event.key, pages.screen, is_live=is_live)
            if self._replay is not None and not (key and key.is_away):
                # Those of a daemon are known in a replay, too, to say that they do nothing.
                key = self._keys.playing().find(event.key, pages.screen, is_live=True) or key
            if key:
                await self.run_action(key.action)
            pages.hush(message)

    async def _press_command(self, event: events.Key) -> None:
        if event.key == "enter":
            await self.action_command()
        elif event.key == "escape":
            self.action_close()
        else:
            self.dashboard.type_command(event.key, event.character)
            self._repaint()

    def _is_move(self, key: str) -> bool:
        """While words are typed the rows that they find can be gone through."""
        prompt = self.dashboard.pages.view.prompt
        has_rows = prompt is not None and prompt.purpose != "connect"
        return has_rows and key in ("up", "down", "pageup", "pagedown")

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
        text = " ".join(event.text.split())
        if self.dashboard.overlay == "commands":
            self.dashboard.type_command("", text)
            self._repaint()
        elif pages.view.prompt is not None:
            pages.type("", text)
            self._settle_later()
            self._change()
