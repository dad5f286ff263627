"""The keys: one table that the bindings, the footer, the help and the README are made from."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["KEYS", "Key"]


@dataclass(frozen=True, slots=True)
class Key:
    """One entry. `codes` are Textual's names of the keys, `shown` what people read on them."""

    codes: str
    shown: str
    action: str
    help: str
    label: str = ""
    """In the footer; empty keeps it out."""
    rank: int = 0
    """In the footer: the highest go first when room is short."""


KEYS = (
    Key("q,ctrl+c", "q", "quit", "Quit", "Quit", 0),
    Key("question_mark,f1", "?", "help", "This help", "Help", 0),
    Key("space", "Space", "freeze", "Freeze the picture; figures are still collected", "Freeze", 1),
    Key("equals_sign,plus", "=", "zoom(1)", "Longer window: 1, 5, 15 minutes, 1 hour"),
    Key("minus", "-", "zoom(-1)", "Shorter window", "/= Window", 2),
    Key("o", "o", "next_sort", "Sort the clients by rate, hits, p99, name", "Sort", 4),
    Key("up,k", "Up", "scroll(-1)", "Scroll the clients (also k, and the wheel)"),
    Key("down,j", "Down", "scroll(1)", "Scroll the clients (also j, and the wheel)"),
    Key("left,h", "Left", "cursor(-1)", "Read off the plots: further back", "/Right Read off", 5),
    Key("right,l", "Right", "cursor(1)", "Read off the plots: closer to now"),
    Key("p", "p", "problems", "What is wrong, in full", "Problems", 6),
    Key("t", "t", "theme", "Dark or light", "Theme", 3),
    Key("r", "r", "retry", "Connect again now"),
    Key("s", "s", "start", "Start the daemon, where none runs"),
    Key("escape", "Esc", "close", "Close what is open"),
)
