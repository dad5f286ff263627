"""What a person has done on a screen: which row, which order, which words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from emberd_tui.asks import Ask, RequestKind
from emberd_tui.names import ScreenName

__all__ = [
    "LEVELS",
    "CommandLine",
    "Confirm",
    "Message",
    "Prompt",
    "Purpose",
    "Row",
    "View",
    "edited",
    "recalled",
]

Purpose = Literal["filter", "search", "inspect", "connect"]
LEVELS = ("debug", "info", "warning", "error")


class Row(NamedTuple):
    """A row that can be selected: `key` names it while rows come and go."""

    key: str
    data: Any


@dataclass(frozen=True, slots=True)
class Prompt:
    """A line that is being typed."""

    purpose: Purpose
    text: str = ""
    offers: tuple[str, ...] = ()
    """What Up and Down go through, the first one first; Enter takes it where nothing is typed."""
    typed: str = ""
    """What was typed before Up or Down: only offers that begin like it are gone through."""


@dataclass(frozen=True, slots=True)
class Confirm:
    """A question that `y` answers."""

    question: str
    ask: Ask


@dataclass(frozen=True, slots=True)
class Message:
    """What has come of the last key."""

    text: str
    is_error: bool = False
    method: str = ""
    """Of the ask that has failed; its next answer takes the message back."""


@dataclass(frozen=True, slots=True)
class CommandLine:
    """Words that find commands, and which one of those is selected."""

    text: str = ""
    selected: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One screen's part of what changes while the dashboard runs."""

    selected: str = ""
    """Key of the row; the first one where there is no such row."""
    picked: str = ""
    """As above, among the hits of a search."""
    sort: int = 0
    """Index among the orders of the screen."""
    text: str = ""
    """The words that rows are filtered by, or searched for."""
    inspected: str = ""
    """The text whose vector is looked up."""
    origin: ScreenName | None = None
    """The screen whose Enter has led here, and that Esc goes back to."""
    kind: RequestKind = "recent"
    level: int = 1
    """Least level of log lines, in `LEVELS`."""
    is_open: bool = False
    """The selected row is shown in full, and keys move in there."""
    is_zoomed: bool = False
    panel: str = ""
    """On the overview: the panel that has the whole screen."""
    scroll: int = 0
    """Of what is open."""
    prompt: Prompt | None = None
    confirm: Confirm | None = None
    message: Message | None = None


_EDITS: dict[str, Callable[[str], str]] = {
    "backspace": lambda text: text[:-1],
    "ctrl+h": lambda text: text[:-1],
    "ctrl+u": lambda _: "",
    "ctrl+w": lambda text: text.rstrip()[: text.rstrip().rfind(" ") + 1],
}


def edited(text: str, key: str, character: str | None) -> str:
    """`text` after a key; keys that edit nothing leave it."""
    if key in _EDITS:
        return _EDITS[key](text)
    return text + character if character and character.isprintable() else text


def recalled(prompt: Prompt, step: int) -> Prompt:
    """The line after Up (-1) or Down (1): the next offer that begins like what was typed."""
    found = [offer for offer in prompt.offers if offer.startswith(prompt.typed)]
    at = found.index(prompt.text) if prompt.text in found else -1
    at = min(max(at - step, -1), len(found) - 1)
    return replace(prompt, text=found[at] if at >= 0 else prompt.typed)
