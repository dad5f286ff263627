"""The keys as they come: one table that the footer, the help and the README are made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from emberd_tui.names import SCREENS, TITLES, ScreenName

__all__ = ["ALWAYS_QUITS", "GROUPS", "KEYS", "Key", "only_looks"]

ALWAYS_QUITS = "ctrl+c"
"""Cannot be given to anything else."""

_OVERVIEW: tuple[ScreenName, ...] = ("overview",)
_PLOTS: tuple[ScreenName, ...] = ("overview", "cache")
_SORTED: tuple[ScreenName, ...] = ("requests", "cache", "index", "plugins", "logs")
_FULL: tuple[ScreenName, ...] = ("requests", "index", "plugins", "logs")


@dataclass(frozen=True, slots=True)
class Key:
    """One action where it means one thing; entries of one name share their keys."""

    name: str
    """As the settings name the action."""
    codes: tuple[str, ...]
    """Textual's names of the keys, the one that is shown first."""
    action: str
    """The method of `Actions` and its arguments."""
    help: str
    label: str = ""
    """In the footer; empty keeps it out."""
    rank: int = 0
    """In the footer: the highest go first when room is short."""
    screens: tuple[ScreenName, ...] = SCREENS
    """Where it counts."""
    group: str = ""
    """Entries of one group stand together in the footer and in the help."""
    when: Literal["always", "live", "replay"] = "always"
    """`live`: not in a replay; `replay`: only there."""
    is_away: bool = False
    """It counts only while no daemon answers, and goes before the others then."""


GROUPS = {
    "screens": ", ".join(TITLES.values()),
    "turn": "Next screen, screen before",
    "list": "Lists of requests: recent, slowest, slow",
    "move": "Select a row",
    "window": "Shorter or longer window: 1, 5, 15 minutes, 1 hour",
    "cursor": "Read off the plots",
    "skip": "Replay: 10 s back or forward",
    "speed": "Replay: slower or faster, 1/4x to 60x",
}
"""Their lines in the help."""

KEYS = (
    Key("quit", ("q",), "quit", "Quit", "Quit"),
    Key("help", ("question_mark", "f1"), "help", "This help", "Help"),
    Key("commands", ("colon", "ctrl+p"), "commands", "Find and run any of these", "Commands", 3),
    *(
        Key(
            f"show_{name}",
            (str(number),),
            f"screen('{number}')",
            f"Show {TITLES[name]}",
            group="screens",
        )
        for number, name in enumerate(SCREENS, start=1)
    ),
    Key("next_screen", ("tab",), "turn(1)", "Next screen", group="turn"),
    Key("previous_screen", ("shift+tab",), "turn(-1)", "Screen before", group="turn"),
    Key("search", ("slash",), "words", "Search the selected collection", "Search", 1, ("index",)),
    Key("filter", ("slash",), "words", "Filter by words", "Filter", 1, ("plugins", "logs")),
    Key("filter", ("slash",), "words", "Filter the namespaces", "Filter", 3, ("cache",)),
    Key("filter", ("slash",), "words", "Filter the clients", "Filter", 6, _OVERVIEW),
    Key(
        "filter",
        ("slash",),
        "words",
        "Filter by client, method, error, #id",
        "Filter",
        1,
        ("requests",),
    ),
    Key("inspect", ("i",), "inspect", "Where the vector of a text is", "Inspect", 1, ("cache",)),
    Key(
        "enable",
        ("e",),
        "confirm('enable')",
        "Enable the plugin",
        "Enable",
        2,
        ("plugins",),
        when="live",
    ),
    Key(
        "disable",
        ("x",),
        "confirm('disable')",
        "Disable the plugin",
        "Disable",
        2,
        ("plugins",),
        when="live",
    ),
    Key(
        "clear",
        ("x",),
        "confirm('disable')",
        "Clear the namespace",
        "Clear",
        2,
        ("cache",),
        when="live",
    ),
    Key(
        "level", ("l",), "level", "Least level: debug, info, warning, error", "Level", 2, ("logs",)
    ),
    Key(
        "show_request",
        ("g",),
        "request",
        "The request that the selected line tells of",
        "Request",
        4,
        ("logs",),
    ),
    Key(
        "previous_list",
        ("left",),
        "kind(-1)",
        "List before",
        "List",
        2,
        ("requests",),
        group="list",
    ),
    Key(
        "next_list",
        ("right",),
        "kind(1)",
        "Next list: recent, slowest, slow",
        screens=("requests",),
        group="list",
    ),
    Key("up", ("up", "k"), "move('up')", "Select the row above", group="move"),
    Key("down", ("down", "j"), "move('down')", "Select the row below", group="move"),
    Key("page_up", ("pageup",), "move('page_up')", "Select a page above", group="move"),
    Key("page_down", ("pagedown",), "move('page_down')", "Select a page below", group="move"),
    Key("first", ("home",), "move('first')", "Select the first row", group="move"),
    Key("last", ("end",), "move('last')", "Select the last row", group="move"),
    Key("open", ("enter",), "open", "Show the selected row in full", "Open", 3, _FULL),
    Key("open", ("enter",), "open", "The requests of the selected client", "Open", 6, _OVERVIEW),
    Key("sort", ("s", "o"), "next_sort", "Sort by the next column", "Sort", 4, _SORTED),
    Key(
        "sort",
        ("s", "o"),
        "next_sort",
        "Sort the clients by rate, hits, p99, name",
        "Sort",
        5,
        _OVERVIEW,
    ),
    Key(
        "maximise",
        ("z",),
        "maximise",
        "The panel takes the whole screen",
        "Zoom",
        5,
        SCREENS[1:],
    ),
    Key(
        "maximise",
        ("z",),
        "maximise",
        "The panel at the pointer, or the next one, takes the whole screen",
        "Zoom",
        5,
        _OVERVIEW,
    ),
    Key("copy", ("y",), "copy", "Copy the selected row as JSON", "Copy", 6, SCREENS[1:]),
    Key(
        "copy",
        ("y",),
        "copy",
        "Copy the selected client, or all figures, as JSON",
        "Copy",
        7,
        _OVERVIEW,
    ),
    Key(
        "freeze",
        ("space",),
        "freeze",
        "Freeze the picture; figures are still collected",
        "Freeze",
        3,
        when="live",
    ),
    Key(
        "freeze",
        ("space",),
        "pause",
        "Replay: pause, go on, play again",
        "Pause",
        0,
        when="replay",
    ),
    Key(
        "skip_back",
        ("comma",),
        "skip(-10)",
        "Replay: 10 s back",
        "10 s",
        0,
        group="skip",
        when="replay",
    ),
    Key(
        "skip_forth",
        ("full_stop",),
        "skip(10)",
        "Replay: 10 s forward",
        group="skip",
        when="replay",
    ),
    Key(
        "slower",
        ("less_than_sign",),
        "speed(-1)",
        "Replay: slower, down to 1/4x",
        "Speed",
        1,
        group="speed",
        when="replay",
    ),
    Key(
        "faster",
        ("greater_than_sign",),
        "speed(1)",
        "Replay: faster, 4x 16x 60x",
        group="speed",
        when="replay",
    ),
    Key("rewind", ("0",), "rewind", "Replay: from the start", "Start", 2, when="replay"),
    Key("shorter_window", ("minus",), "zoom(-1)", "Shorter window", "Window", 3, _PLOTS, "window"),
    Key(
        "longer_window",
        ("equals_sign", "plus"),
        "zoom(1)",
        "Longer window: 1, 5, 15 minutes, 1 hour",
        screens=_PLOTS,
        group="window",
    ),
    Key(
        "cursor_back",
        ("left", "h"),
        "cursor(-1)",
        "Read off the plots: further back",
        "Read off",
        6,
        _PLOTS,
        "cursor",
    ),
    Key(
        "cursor_forth",
        ("right", "l"),
        "cursor(1)",
        "Read off the plots: closer to now",
        screens=_PLOTS,
        group="cursor",
    ),
    Key("problems", ("p",), "problems", "What is wrong, in full", "Problems", 7),
    Key("theme", ("t",), "theme", "Dark or light", "Theme", 4),
    Key("connect", ("d",), "connect", "Connect to another daemon", "Daemon", 8, when="live"),
    Key("record", ("r",), "record", "Record, or stop recording", "Record", 8, when="live"),
    Key(
        "retry",
        ("r",),
        "retry",
        "While no daemon answers: connect again now",
        when="live",
        is_away=True,
    ),
    Key("start", ("s",), "start", "While no daemon answers: start it", when="live", is_away=True),
    Key("close", ("escape",), "close", "Close what is open, go back"),
)

# All that a read-only dashboard does, by keys and by clicks. What is not named here it refuses: a
# new action must be let in, not kept out.
_LOOKING = frozenset(
    {
        *("quit", "help", "commands", "command", "problems", "close", "theme", "retry", "freeze"),
        *("screen", "turn", "move", "select", "open", "request", "maximise", "copy"),
        *("words", "inspect", "level", "kind", "next_sort", "sort"),
        *("zoom", "window", "cursor"),
        *("pause", "skip", "speed", "rewind"),
    }
)


def only_looks(action: str) -> bool:
    """Whether an action (`name` or `name(parameters)`) changes nothing but the picture."""
    return action.partition("(")[0] in _LOOKING
