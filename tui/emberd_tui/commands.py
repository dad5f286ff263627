"""Everything that can be run from the line of commands, and which of it words find."""

from __future__ import annotations

from typing import NamedTuple

from emberd_tui import key_names
from emberd_tui.format import clock
from emberd_tui.frame import SORTS, WINDOWS_S, Frame
from emberd_tui.screens.catalog import SPECS
from emberd_tui.states import Live

__all__ = ["Command", "Finding", "commands_of", "found_commands", "fuzzy"]

_PLOTTED = ("overview", "cache")


class Command(NamedTuple):
    """What it is called, the keys that do the same, and the action."""

    title: str
    keys: str
    action: str


class Finding(NamedTuple):
    """A command, and which letters of its title the words have met."""

    command: Command
    letters: frozenset[int]


def commands_of(frame: Frame) -> list[Command]:
    """All of the screen that is shown: its keys' actions, its windows and orders, the themes."""
    is_live = isinstance(frame.state, Live)
    found = [
        Command(key.help, " ".join(map(key_names.shown, key.codes)), key.action)
        for key in frame.keys.of(frame.screen)
        if key.name not in ("commands", "close") and not (key.is_away and is_live)
    ]
    if frame.screen in _PLOTTED:
        found += [
            Command(f"Window of {clock(window_s)}", "", f"window({window_s})")
            for window_s in WINDOWS_S
        ]
    sorts = SORTS if frame.screen == "overview" else SPECS[frame.screen].sorts
    found += [Command(f"Sort by {name}", "", f"sort('{name}')") for name in sorts if name]
    found += [Command(f"Theme {name}", "", f"theme('{name}')") for name in ("dark", "light")]
    return found


def found_commands(frame: Frame) -> list[Finding]:
    """Those that the typed words find, the best first."""
    ranked = []
    for command in commands_of(frame):
        match = fuzzy(frame.command.text, command.title)
        if match is not None:
            # Of those that are as near, the one whose words come first.
            order = match[0], min(match[1], default=0)
            ranked.append((order, Finding(command, match[1])))
    return [finding for _, finding in sorted(ranked, key=lambda pair: pair[0])]


def fuzzy(words: str, text: str) -> tuple[int, frozenset[int]] | None:
    """How far `words` are from `text` (0 is the nearest) and the letters they met; None where a
    letter is missing. Each word may stand anywhere, at best where a word begins, and may leave
    letters out."""
    distance, letters = 0, set[int]()
    for word in words.lower().split():
        found = _whole(word, text.lower()) or _scattered(word, text.lower())
        if found is None:
            return None
        distance += found[0]
        letters |= set(found[1])
    return distance, frozenset(letters)


def _whole(word: str, text: str) -> tuple[int, range] | None:
    at = f" {text}".find(f" {word}")
    inside = at if at >= 0 else text.find(word)
    return None if inside < 0 else (0 if at >= 0 else 1, range(inside, inside + len(word)))


def _scattered(word: str, text: str) -> tuple[int, list[int]] | None:
    letters: list[int] = []
    at = -1
    for letter in word:
        at = text.find(letter, at + 1)
        if at < 0:
            return None
        letters.append(at)
    return 2 + letters[-1] - letters[0] - len(word), letters
