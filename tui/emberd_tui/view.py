"""What a person has done on a screen: which row, which order, which words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from emberd_tui.asks import Ask, RequestKind

__all__ = ["LEVELS", "Confirm", "Message", "Prompt", "Row", "View", "edited"]

Purpose = Literal["filter", "search", "inspect"]
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
    kind: RequestKind = "recent"
    level: int = 1
    """Least level of log lines, in `LEVELS`."""
    is_open: bool = False
    """The selected row is shown in full, and keys move in there."""
    is_zoomed: bool = False
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
