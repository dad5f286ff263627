"""The body of every screen but the overview."""

from __future__ import annotations

from collections.abc import Callable

from emberd.wire.snapshot import Snapshot
from emberd_tui.frame import Frame
from emberd_tui.names import ScreenName
from emberd_tui.views.body import Body
from emberd_tui.views.cache_screen import cache_screen
from emberd_tui.views.index_screen import index_screen
from emberd_tui.views.logs_screen import logs_screen
from emberd_tui.views.plugins_screen import plugins_screen
from emberd_tui.views.requests_screen import requests_screen

__all__ = ["screen"]

_SCREENS: dict[ScreenName, Callable[[Frame, Snapshot, int, int], Body]] = {
    "requests": requests_screen,
    "cache": cache_screen,
    "index": index_screen,
    "plugins": plugins_screen,
    "logs": logs_screen,
}


def screen(frame: Frame, snapshot: Snapshot, width: int, height: int) -> Body:
    """The screen that is shown, `height` lines."""
    return _SCREENS[frame.screen](frame, snapshot, width, height)
