"""What the application stands on: states from the source, asks to it, pictures to the canvas."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import Any, ClassVar, Literal

from textual import events
from textual.actions import ActionParseResult
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType

from emberd.errors import EmberdError, InvalidParamsError
from emberd_tui.asks import Ask
from emberd_tui.canvas import Canvas
from emberd_tui.dashboard import Dashboard
from emberd_tui.glyphs import ASCII, UNICODE
from emberd_tui.keymap import KEYMAP, Keymap
from emberd_tui.keys import only_looks
from emberd_tui.names import ScreenName
from emberd_tui.palette import Palette, choose
from emberd_tui.panels import AddedPanel
from emberd_tui.picture import paint
from emberd_tui.read_only import ReadOnlySource
from emberd_tui.recorder import Recorder
from emberd_tui.replay import ReplaySource
from emberd_tui.source import Source
from emberd_tui.states import Passed
from emberd_tui.tape import Tape, Taping
from emberd_tui.view import Message

__all__ = ["Shell", "Theme"]

Theme = Literal["dark", "light"]

_SAID_S = 8.0  # long enough to read a path
# The workers that end when another daemon is shown.
_OF_THE_DAEMON = "daemon"


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
        keys: Keymap = KEYMAP,
        connect: Callable[[str], Source] | None = None,
        is_read_only: bool = False,
        recorder: Recorder | None = None,
        replay: ReplaySource | None = None,
    ) -> None:
        """`connect` gives the source of another address, and raises EmberdError for none. Where
        `is_read_only`, what changes something is refused, and no key for it is shown. `replay` is
        the source where it plays a recording."""
        # The terminal's own 16 colours must pass through as they are, and NO_COLOR as none.
        super().__init__(ansi_color=True)
        self.dashboard = Dashboard(
            address=source.address,
            can_start=source.can_start and not is_read_only,
            glyphs=ASCII if ascii else UNICODE,
            zone=zone,
            panels=panels,
            keys=_shown(keys, is_read_only=is_read_only, is_replay=replay is not None),
        )
        self._recorder = recorder or Recorder(source.address, clock=clock)
        self._replay = replay
        self._is_read_only = is_read_only
        self._keys = keys
        self._open_source = connect
        self._source: Source = ReadOnlySource(source) if is_read_only else source
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
        if self._replay is not None and self._replay.note:
            self._say(self._replay.note)
        self._start_following()
        self.set_interval(1.0, self._tick)

    def on_resize(self) -> None:
        """A new size is a new layout."""
        self._repaint()

    def _start_following(self) -> None:
        follow = self._follow(self._source, self.dashboard)
        self.run_worker(follow, group=_OF_THE_DAEMON, exit_on_error=True)

    async def _follow(self, source: Source, dashboard: Dashboard) -> None:
        async for state in source.states():
            dashboard.take(state)
            if not isinstance(state, Passed):
                self._recorder.take(state)
            self._change()

    def _connect(self, address: str) -> None:
        """Leave this daemon for another one, unless `address` cannot be one's."""
        try:
            if self._open_source is None:
                raise InvalidParamsError("This dashboard can show no other daemon.")
            source = self._open_source(address)
        except EmberdError as exc:
            self.dashboard.pages.say(exc.message, is_error=True)
        else:
            self.workers.cancel_group(self, _OF_THE_DAEMON)
            said = self._recorder.elsewhere(source.address)
            self._source = source
            self.dashboard = self.dashboard.elsewhere(source.address, can_start=source.can_start)
            self._start_following()
            if said:
                self._say(said)
        self._repaint()

    def _tick(self) -> None:
        if self._tape() is not None or not self.dashboard.is_live:
            self._repaint()

    def _change(self) -> None:
        """Paint, and ask the daemon what is wanted now."""
        if self._recorder.trouble:
            self._say(self._recorder.trouble, is_error=True)
            self._recorder.trouble = ""
        self._repaint()
        for screen, ask in self.dashboard.due(self._clock()):
            asking = self._ask(self._source, self.dashboard, screen, ask)
            self.run_worker(asking, group=_OF_THE_DAEMON, exit_on_error=True)

    async def _ask(
        self, source: Source, dashboard: Dashboard, screen: ScreenName, ask: Ask
    ) -> None:
        # Both are those of the question: by the time of the answer another daemon may be shown.
        try:
            answer = await source.ask(ask)
        except EmberdError as exc:
            self._recorder.answer(ask, exc)
            dashboard.answer(screen, ask, exc)
        else:
            self._recorder.answer(ask, answer)
            dashboard.answer(screen, ask, answer)
        self._change()

    def _repaint(self) -> None:
        """Paint once, after everything that is waiting to be handled."""
        if not self._is_paint_due:
            self._is_paint_due = True
            self.call_later(self._paint)

    def _paint(self) -> None:
        self._is_paint_due = False
        width, height = self.size
        frame = self.dashboard.frame(self._clock(), self._tape())
        self._canvas.show(paint(frame, width, height), self._palette())

    def _tape(self) -> Tape | None:
        if self._replay is not None:
            return self._replay.playback()
        return Taping(self._recorder.seconds) if self._recorder.is_on else None

    def _say(self, text: str, *, is_error: bool = False) -> None:
        message = self.dashboard.pages.say(text, is_error=is_error)
        self.set_timer(_SAID_S, lambda: self._unsay(message))
        self._repaint()

    def _unsay(self, message: Message) -> None:
        self.dashboard.pages.unsay(message)
        self._repaint()

    def _palette(self) -> Palette:
        color_system = self.console.color_system
        return self._fixed_palette or choose(
            self._light_or_dark, color_system, no_color=self.no_color
        )

    async def run_action(self, action: str | ActionParseResult, *args: Any, **options: Any) -> bool:
        """Every key and every click comes through here: what changes something is refused."""
        name = action if isinstance(action, str) else action[1]
        if self._is_read_only and not only_looks(name):
            self.dashboard.pages.say("This dashboard is read-only.", is_error=True)
            self._repaint()
            return False
        return await super().run_action(action, *args, **options)

    async def press(self, event: events.Key) -> None:
        """A key that the canvas was given."""
        raise NotImplementedError


def _shown(keys: Keymap, *, is_read_only: bool, is_replay: bool) -> Keymap:
    """Those that do something here."""
    keys = keys.playing() if is_replay else keys.watching()
    return keys.looking() if is_read_only else keys
