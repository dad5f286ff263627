"""The first line: which daemon this is."""

from __future__ import annotations

from emberd.wire.snapshot import DaemonStats
from emberd_tui.format import duration
from emberd_tui.frame import Frame
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

__all__ = ["header"]

_LEAST_PATH = 10


def header(frame: Frame, width: int) -> list[Line]:
    """Name, version, state, pid and uptime on the left; the socket and badges on the right."""
    badges: Line = (Span(" FROZEN ", "badge", "freeze"), Span(" ")) if frame.is_frozen else ()
    room = width - 2 - line_width(badges)
    daemon = frame.snapshot.daemon if frame.snapshot else None
    left = pack(_fields(frame, daemon), room)
    where = clean((daemon.socket if daemon else "") or frame.address)
    spare = room - line_width(left) - 2
    right: Line = (Span(" "), *badges)
    if where and spare >= _LEAST_PATH:
        right = (Span(_tail(where, spare, frame.glyphs.ellipsis), "faint"), *right)
    return [justify((Span(" "), *left), right, width, frame.glyphs.ellipsis)]


def _fields(frame: Frame, daemon: DaemonStats | None) -> list[tuple[int, Line]]:
    version = f" {clean(daemon.version)}" if daemon else ""
    fields: list[tuple[int, Line]] = [
        (0, (Span("emberd", "title"), Span(version, "strong"))),
        (0, (_state(frame, daemon),)),
    ]
    if daemon is not None:
        fields.append((2, (Span("pid ", "muted"), Span(str(daemon.pid)))))
        fields.append((1, (Span("up ", "muted"), Span(duration(daemon.uptime_s)))))
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
