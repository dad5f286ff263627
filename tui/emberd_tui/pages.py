"""The screens' own state: what is typed and answered, on top of what is selected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from emberd.errors import EmberdError, MethodNotFoundError
from emberd_tui.answers import Answer, Answers
from emberd_tui.asks import Ask
from emberd_tui.errands import Errands
from emberd_tui.frame import Frame
from emberd_tui.inbox import done_text, taken
from emberd_tui.names import ScreenName
from emberd_tui.screens.catalog import SPECS
from emberd_tui.selection import Selection
from emberd_tui.states import Live
from emberd_tui.view import Confirm, Message, Prompt, Purpose, edited, recalled

__all__ = ["Pages"]


class Pages(Selection):
    """Letters and answers in, asks out."""

    def __init__(self, shown: Callable[[], Frame]) -> None:
        super().__init__(shown)
        self._errands = Errands()

    @property
    def is_typing(self) -> bool:
        """Keys are letters, or the answer to a question."""
        return self.view.prompt is not None or self.view.confirm is not None

    def confirm(self, action: str) -> None:
        """Ask before something is changed."""
        self._change(confirm=self.spec.confirms(self._shown(), action), message=None)

    def prompt(self, purpose: Purpose | None = None, offers: Sequence[str] = ()) -> None:
        """Open the line to type in: for the screen's own words, or for another purpose."""
        text = self.view.text if purpose is None else ""
        purpose = purpose or self.spec.words
        if purpose is not None:
            prompt = Prompt(purpose, text, tuple(offers))
            self._change(prompt=prompt, message=None, is_open=False)

    def entered(self, key: str) -> str | None:
        """The address that Enter takes from the line; None for other keys and other lines."""
        prompt = self.view.prompt
        if key != "enter" or prompt is None or prompt.purpose != "connect":
            return None
        self._change(prompt=None)
        return prompt.text.strip() or next(iter(prompt.offers), "")

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
            if view.prompt.purpose in ("filter", "search"):
                self._change(text="", picked="", origin=None)
        elif view.prompt is not None and view.prompt.offers and key in ("up", "down"):
            self._change(prompt=recalled(view.prompt, -1 if key == "up" else 1))
        elif view.prompt is not None:
            text = edited(view.prompt.text, key, character)
            self._change(prompt=replace(view.prompt, text=text, typed=text))
            if view.prompt.purpose == "filter":
                self._change(text=text, selected="")

    def settle(self, *, is_done: bool = False) -> None:
        """What is typed counts from here: at once, or when no more letters come."""
        prompt = self.view.prompt
        if prompt is None or prompt.purpose == "connect":
            return
        if prompt.purpose == "inspect":
            if is_done:
                self._inspect(prompt.text)
            return
        if is_done and prompt.purpose == "search":
            self._errands.forget(self.spec.wants(self._shown()))
        if prompt.text != self.view.text:
            self._change(text=prompt.text, picked="", message=None)

    def _inspect(self, text: str) -> None:
        self._change(inspected=text, message=None)
        self.answers = replace(self.answers, inspection=None)
        # The same text is a new question: it may be cached by now.
        self._errands.forget(self.spec.wants(self._shown()))

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
            self._say(screen, Message(answer.message, is_error=True, method=ask.method))
        else:
            self._take(screen, ask, answer)

    def _take(self, screen: ScreenName, ask: Ask, answer: Answer) -> None:
        if text := done_text(ask, answer):
            self._say(screen, Message(text))
        elif ask not in self._wants(replace(self._shown(), screen=screen)):
            return  # something else is asked by now
        said = self.views[screen].message
        if said is not None and said.method == ask.method:
            self.unsay(said)
        self.answers = taken(self.answers, ask, answer)

    def reset(self) -> None:
        """Another connection, perhaps another daemon: nothing that was asked counts."""
        self._errands.reset()
        self.answers = replace(self.answers, missing=frozenset(), log_next=None, pasts=0)
        for name, view in self.views.items():
            if view.message is not None and view.message.is_error:
                self.views[name] = replace(view, message=None)

    def forget(self) -> None:
        """As above, and every answer."""
        self.reset()
        self.answers = Answers()

    def say(self, text: str, *, is_error: bool = False) -> Message:
        """Show a message on the screen that is shown."""
        message = Message(text, is_error)
        self._say(self.screen, message)
        return message

    def unsay(self, message: Message) -> None:
        """Take it back, wherever it is still shown."""
        for name, view in self.views.items():
            if view.message is message:
                self.views[name] = replace(view, message=None)

    def _wants(self, frame: Frame) -> tuple[Ask, ...]:
        return (*SPECS["overview"].wants(frame), *SPECS[frame.screen].wants(frame))
