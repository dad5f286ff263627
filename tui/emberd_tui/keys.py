"""The keys: one table that the footer, the help and the README are made from."""

from __future__ import annotations

from dataclasses import dataclass

from emberd_tui.names import SCREENS, ScreenName

__all__ = ["KEYS", "Key", "key_of", "keys_of"]

_OVERVIEW: tuple[ScreenName, ...] = ("overview",)
_PLOTS: tuple[ScreenName, ...] = ("overview", "cache")
_ROWS: tuple[ScreenName, ...] = SCREENS[1:]
_SORTED: tuple[ScreenName, ...] = ("requests", "cache", "index", "plugins")
_FULL: tuple[ScreenName, ...] = ("requests", "index", "plugins", "logs")


@dataclass(frozen=True, slots=True)
class Key:
    """One entry. `codes` are Textual's names of the keys, `shown` what people read on them."""

    codes: str
    shown: str
    action: str
    """What it does; `KEY` in it stands for the code."""
    help: str
    label: str = ""
    """In the footer; empty keeps it out."""
    rank: int = 0
    """In the footer: the highest go first when room is short."""
    screens: tuple[ScreenName, ...] = SCREENS
    """Where it counts."""


_MOVES = "up,down,k,j,pageup,pagedown,home,end"

KEYS = (
    Key("q,ctrl+c", "q", "quit", "Quit", "Quit", 0),
    Key("question_mark,f1", "?", "help", "This help", "Help", 0),
    Key("1,2,3,4,5,6", "1-6", "screen('KEY')", "Overview, Requests, Cache, Index, Plugins, Logs"),
    Key("tab", "Tab", "turn(1)", "Next screen"),
    Key("shift+tab", "Shift+Tab", "turn(-1)", "Screen before"),
    Key("slash", "/", "words", "Search the selected collection", "Search", 1, ("index",)),
    Key("slash", "/", "words", "Filter by words", "Filter", 1, ("plugins", "logs")),
    Key("slash", "/", "words", "Filter by client, method, error", "Filter", 1, ("requests",)),
    Key("i", "i", "inspect", "Where the vector of a text is", "Inspect", 1, ("cache",)),
    Key("e", "e", "confirm('enable')", "Enable the plugin", "Enable", 2, ("plugins",)),
    Key("x", "x", "confirm('disable')", "Disable the plugin", "Disable", 2, ("plugins",)),
    Key("x", "x", "confirm('disable')", "Clear the namespace", "Clear", 2, ("cache",)),
    Key("l", "l", "level", "Least level: debug, info, warning, error", "Level", 2, ("logs",)),
    Key("left", "Left", "kind(-1)", "List before", "/Right List", 2, ("requests",)),
    Key("right", "Right", "kind(1)", "Next list: recent, slowest, slow", screens=("requests",)),
    Key(_MOVES, "Up/Down", "move('KEY')", "Select (also j k PgUp PgDn Home End)", screens=_ROWS),
    Key("enter", "Enter", "open", "Show the selected row in full", "Open", 3, _FULL),
    Key("s", "s", "next_sort", "Sort by the next column", "Sort", 4, _SORTED),
    Key("z", "z", "maximise", "The panel takes the whole screen", "Zoom", 5, _ROWS),
    Key("y", "y", "copy", "Copy the selected row as JSON", "Copy", 6, _ROWS),
    Key("space", "Space", "freeze", "Freeze the picture; figures are still collected", "Freeze", 3),
    Key(
        "equals_sign,plus", "=", "zoom(1)", "Longer window: 1, 5, 15 minutes, 1 hour", "", 0, _PLOTS
    ),
    Key("minus", "-", "zoom(-1)", "Shorter window", "/= Window", 3, _PLOTS),
    Key("o", "o", "next_sort", "Sort the clients by rate, hits, p99, name", "Sort", 5, _OVERVIEW),
    Key("up,k", "Up", "scroll(-1)", "Scroll the clients (also k, and the wheel)", "", 0, _OVERVIEW),
    Key("down,j", "Down", "scroll(1)", "Scroll the clients (also j, wheel)", "", 0, _OVERVIEW),
    Key(
        "left,h",
        "Left",
        "cursor(-1)",
        "Read off the plots: further back",
        "/Right Read off",
        6,
        _PLOTS,
    ),
    Key("right,l", "Right", "cursor(1)", "Read off the plots: closer to now", "", 0, _PLOTS),
    Key("p", "p", "problems", "What is wrong, in full", "Problems", 7),
    Key("t", "t", "theme", "Dark or light", "Theme", 4),
    Key("r", "r", "retry", "Connect again now"),
    Key("s", "s", "start", "Start the daemon, where none runs", screens=(*_OVERVIEW, "logs")),
    Key("escape", "Esc", "close", "Close what is open"),
)


def keys_of(screen: ScreenName) -> list[Key]:
    """The keys of a screen, in the order of the table."""
    return [key for key in KEYS if screen in key.screens]


def key_of(code: str, screen: ScreenName) -> Key | None:
    """What this key is on a screen."""
    return next((key for key in keys_of(screen) if code in key.codes.split(",")), None)
