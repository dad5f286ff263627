"""The screens' own state: keys and answers in, views and asks out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from emberd.errors import EmberdError, MethodNotFoundError
from emberd_tui.answers import Answer, Answers
from emberd_tui.asks import REQUEST_KINDS, Ask
from emberd_tui.errands import Errands
from emberd_tui.frame import Frame
from emberd_tui.inbox import done_text, taken
from emberd_tui.names import SCREENS, ScreenName, screen_after
from emberd_tui.screens.catalog import SPECS
from emberd_tui.screens.spec import Spec
from emberd_tui.states import Live
from emberd_tui.view import LEVELS, Confirm, Message, Prompt, Row, View, edited

__all__ = ["Pages"]


class Pages:
    """What changes on the screens with rows. `shown` gives the frame as it is now."""

    def __init__(self, shown: Callable[[], Frame]) -> None:
        self.screen: ScreenName = "overview"
        self.views: dict[ScreenName, View] = {name: View() for name in SCREENS}
        self.answers = Answers()
        self._shown = shown
        self._errands = Errands()

    @property
    def view(self) -> View:
        """Of the screen that is shown."""
        return self.views[self.screen]

    @property
    def spec(self) -> Spec:
        """As above."""
        return SPECS[self.screen]

    @property
    def is_typing(self) -> bool:
        """Keys are letters, or the answer to a question."""
        return self.view.prompt is not None or self.view.confirm is not None

    def rows(self) -> Sequence[Row]:
        """Of the panel that has the focus."""
        return self.spec.rows(self._shown())

    def selected(self) -> tuple[int, Row] | None:
        """The selected row and where it is."""
        rows = self.rows()
        if not rows:
            return None
        index = self.spec.index(self._shown(), rows)
        return index, rows[index]

    # Keys.

    def go(self, name: ScreenName) -> None:
        """Show another screen."""
        self.screen = name

    def turn(self, steps: int) -> None:
        """Show the next screen, or the one before."""
        self.go(screen_after(self.screen, steps))

    def move(self, step: int, most_scroll: int) -> None:
        """Select another row; where one is open, scroll in it (up to `most_scroll`)."""
        if self.view.is_open:
            self._change(scroll=min(max(self.view.scroll + step, 0), most_scroll))
            return
        found = self.selected()
        if found is not None:
            self.select(found[0] + step)

    def select(self, index: int) -> None:
        """Select a row by its place, the nearest where there is none."""
        rows = self.rows()
        if not rows:
            return
        index = min(max(index, 0), len(rows) - 1)
        # Without a key it is the newest line that is selected, whichever comes.
        key = "" if self.spec.is_tail and index == len(rows) - 1 else rows[index].key
        if self.spec.is_picking(self._shown()):
            self._change(picked=key, message=None, scroll=0)
        else:
            self._change(selected=key, message=None, scroll=0)

    def open(self) -> None:
        """Show the selected row in full."""
        if self.spec.opens and self.rows():
            self._change(is_open=True, scroll=0, message=None)

    def close(self) -> bool:
        """Close what is open, the innermost first; False where there was nothing."""
        view = self.view
        if view.is_open:
            self._change(is_open=False, scroll=0)
        elif view.is_zoomed:
            self._change(is_zoomed=False)
        elif view.text:
            self._change(text="", picked="")
            self.answers = replace(self.answers, inspection=None)
        elif view.message:
            self._change(message=None)
        else:
            return False
        return True

    def toggle_zoom(self) -> None:
        """The panel with the focus takes the whole screen, or goes back."""
        self._change(is_zoomed=not self.view.is_zoomed)

    def next_sort(self) -> None:
        """Sort by the next column."""
        if self.spec.sorts:
            self._change(sort=(self.view.sort + 1) % len(self.spec.sorts))

    def sort_by(self, name: str) -> None:
        """Sort by this column."""
        if name in self.spec.sorts:
            self._change(sort=self.spec.sorts.index(name))

    def next_level(self) -> None:
        """Show only graver lines; after the gravest all again."""
        self._change(level=(self.view.level + 1) % len(LEVELS))

    def next_kind(self, steps: int) -> None:
        """The next list of requests."""
        kind = REQUEST_KINDS[(REQUEST_KINDS.index(self.view.kind) + steps) % len(REQUEST_KINDS)]
        self._change(kind=kind, selected="")

    def copied(self) -> str | None:
        """The selected row as JSON; None where there is none."""
        found = self.selected()
        if found is None:
            return None
        self._change(message=Message(f"{found[1].key} is copied as JSON."))
        return msgspec.json.encode(found[1].data).decode()

    def confirm(self, action: str) -> None:
        """Ask before something is changed."""
        self._change(confirm=self.spec.confirms(self._shown(), action), message=None)

    def prompt(self, action: str = "words") -> None:
        """Open the line to type in."""
        purpose = "inspect" if action == "inspect" else self.spec.words
        if purpose is not None:
            text = "" if purpose == "inspect" else self.view.text
            self._change(prompt=Prompt(purpose, text), message=None, is_open=False)

    def type(self, key: str, character: str | None) -> None:
        """A key while something is being typed or asked."""
        view = self.view
        if view.confirm is not None:
            self._decide(view.confirm, key)
        elif view.prompt is not None and key == "enter":
            self.settle(is_done=True)
            self._change(prompt=None)
        elif view.prompt is not None and key == "escape":
            self._change(prompt=None)
            if view.prompt.purpose != "inspect":
                self._change(text="", picked="")
        elif view.prompt is not None:
            text = edited(view.prompt.text, key, character)
            self._change(prompt=replace(view.prompt, text=text))
            if view.prompt.purpose == "filter":
                self._change(text=text, selected="")

    def settle(self, *, is_done: bool = False) -> None:
        """What is typed counts from here: at once, or when no more letters come."""
        prompt = self.view.prompt
        if prompt is None or (prompt.purpose == "inspect" and not is_done):
            return
        if is_done:
            self._errands.forget(self.spec.wants(self._shown()))
        if prompt.purpose == "inspect":
            self.answers = replace(self.answers, inspection=None)
        if prompt.text != self.view.text:
            self._change(text=prompt.text, picked="", message=None)

    def _decide(self, confirm: Confirm, key: str) -> None:
        if key == "y" and isinstance(self._shown().state, Live):
            self._errands.order(self.screen, confirm.ask)
        elif key == "y":
            self._change(message=Message("No daemon is there to do it.", is_error=True))
        if key in ("y", "n", "escape"):
            self._change(confirm=None)

    # Asks and their answers.

    def due(self, now: float) -> list[tuple[ScreenName, Ask]]:
        """What to ask now, each with the screen that wants it; asked once it is given."""
        frame = self._shown()
        wanted = self._wants(frame)
        if frame.is_frozen:
            wanted = tuple(ask for ask in wanted if ask.every_s is None)
        return self._errands.due(self.screen, wanted, now, self.answers.missing)

    def take(self, screen: ScreenName, ask: Ask, answer: Answer | EmberdError) -> None:
        """An answer has come, or why there is none."""
        self._errands.done(ask)
        if isinstance(answer, MethodNotFoundError):
            missing = self.answers.missing | {ask.method}
            self.answers = replace(self.answers, missing=missing)
            if not ask.has_notice:
                text = f"This daemon has no {ask.method}; `emberd restart` starts a newer one."
                self._say(screen, Message(text, is_error=True))
        elif isinstance(answer, EmberdError):
            self._say(screen, Message(answer.message, is_error=True))
        else:
            self._take(screen, ask, answer)

    def _take(self, screen: ScreenName, ask: Ask, answer: Answer) -> None:
        if text := done_text(ask, answer):
            self._say(screen, Message(text))
        elif ask not in self._wants(replace(self._shown(), screen=screen)):
            return  # something else is asked by now
        self.answers = taken(self.answers, ask, answer)

    def reset(self) -> None:
        """Another connection, perhaps another daemon: nothing that was asked counts."""
        self._errands.reset()
        self.answers = replace(self.answers, missing=frozenset(), log_next=None, pasts=0)
        for name, view in self.views.items():
            if view.message is not None and view.message.is_error:
                self.views[name] = replace(view, message=None)

    def _wants(self, frame: Frame) -> tuple[Ask, ...]:
        return (*SPECS["overview"].wants(frame), *SPECS[frame.screen].wants(frame))

    def _say(self, screen: ScreenName, message: Message) -> None:
        self.views[screen] = replace(self.views[screen], message=message)

    def _change(self, **changed: Any) -> None:
        self.views[self.screen] = replace(self.view, **changed)
