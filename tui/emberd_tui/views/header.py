"""The first line: which daemon this is."""

from __future__ import annotations

from collections.abc import Sequence

from emberd.wire.snapshot import DaemonStats
from emberd_tui.format import duration
from emberd_tui.frame import Frame
from emberd_tui.names import SCREENS, TITLES, ScreenName
from emberd_tui.parts import first_fit
from emberd_tui.spans import Line, Span, clean, justify, line_width, pack
from emberd_tui.states import (
    Connecting,
    Live,
    Lost,
    NoDaemon,
    OtherVersion,
    Refused,
    Starting,
    State,
)
from emberd_tui.views import tape

__all__ = ["header"]

_LEAST_PATH = 16


def header(frame: Frame, width: int) -> list[Line]:
    """Name, version and state, then the screens; pid, uptime and socket where there is room."""
    daemon = frame.snapshot.daemon if frame.snapshot else None
    all_tabs, few_tabs = _tabs(frame.screen)
    least = _least(_fields(frame, daemon, has_version=False)) + line_width(few_tabs)
    badges = _badges(frame, width - 4 - least)
    room = width - 4 - line_width(badges)
    tabs, fields = all_tabs, _fields(frame, daemon, has_version=True)
    if _least(fields) > room - line_width(tabs):
        fields = _fields(frame, daemon, has_version=False)
    if _least(fields) > room - line_width(tabs):
        tabs, fields = few_tabs, _fields(frame, daemon, has_version=True)
    if _least(fields) > room - line_width(tabs):
        fields = _fields(frame, daemon, has_version=False)
    left = pack(fields, room - line_width(tabs))
    where = clean(frame.address or (daemon.socket if daemon else ""))
    spare = room - line_width(left) - line_width(tabs) - 4
    right: Line = (*tabs, Span(" "), *badges)
    if where and spare >= _LEAST_PATH:
        path = _tail(where, min(spare, len(where)), frame.glyphs.ellipsis)
        right = (Span(path, "faint", "connect"), Span("  "), *right)
    return [justify((Span(" "), *left), right, width, frame.glyphs.ellipsis)]


def _badges(frame: Frame, width: int) -> Line:
    frozen: Line = (Span(" FROZEN ", "badge", "freeze"), Span(" ")) if frame.is_frozen else ()
    shown = first_fit(tape.badges(frame.tape), width - line_width(frozen) - 1)
    return (*shown, Span(" "), *frozen) if shown else frozen


def _least(fields: list[tuple[int, Line]]) -> int:
    return line_width(pack(fields[:2], 0))


def _tabs(shown: ScreenName) -> tuple[Line, Line]:
    """With all their names, and with the name of the shown one alone; brackets say which it is."""
    return _tab_line(shown, SCREENS), _tab_line(shown, (shown,))


def _tab_line(shown: ScreenName, named: Sequence[ScreenName]) -> Line:
    line: list[Span] = []
    for number, name in enumerate(SCREENS, start=1):
        text = f"{number} {TITLES[name]}" if name in named else str(number)
        tab = Span(text, "strong" if name == shown else "muted", f"screen('{number}')")
        edges = (Span("[", "title"), tab, Span("]", "title")) if name == shown else (tab,)
        line += [*((Span(" "),) if line else ()), *edges]
    return tuple(line)


def _fields(
    frame: Frame, daemon: DaemonStats | None, *, has_version: bool
) -> list[tuple[int, Line]]:
    version = f" {clean(daemon.version)}" if daemon and has_version else ""
    fields: list[tuple[int, Line]] = [
        (0, (Span("emberd", "title"), Span(version, "strong"))),
        (0, (_state(frame, daemon),)),
    ]
    if daemon is not None:
        fields.append((3, (Span("pid ", "muted"), Span(str(daemon.pid)))))
        fields.append((2, (Span("up ", "muted"), Span(duration(daemon.uptime_s)))))
    return fields


_AWAY: dict[type[State], str] = {
    Connecting: "connecting",
    Starting: "starting",
    Lost: "lost",
    NoDaemon: "no daemon",
    Refused: "refused",
    OtherVersion: "other version",
}


def _state(frame: Frame, daemon: DaemonStats | None) -> Span:
    glyphs = frame.glyphs
    if isinstance(frame.state, Connecting | Starting):
        return Span(f"{glyphs.waiting} {_AWAY[type(frame.state)]}", "warning")
    if not isinstance(frame.state, Live):
        return Span(f"{glyphs.bad} {_AWAY[type(frame.state)]}", "bad")
    if daemon is None or daemon.state == "serving":
        return Span(f"{glyphs.good} serving", "good")
    return Span(f"{glyphs.warning} {daemon.state}", "warning")


def _tail(path: str, width: int, ellipsis: str) -> str:
    """The end of a path says more than its beginning."""
    return path if len(path) <= width else ellipsis + path[len(path) - width + 1 :]
