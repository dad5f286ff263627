"""A frame: everything that one picture shows. Pictures are functions of a frame and a size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Literal

from emberd.wire.snapshot import Snapshot
from emberd_tui.answers import Answers
from emberd_tui.axis import Axis
from emberd_tui.glyphs import UNICODE, Glyphs
from emberd_tui.history import History
from emberd_tui.keymap import KEYMAP, Keymap
from emberd_tui.names import ScreenName
from emberd_tui.panels import PanelContent
from emberd_tui.states import State
from emberd_tui.tape import Tape
from emberd_tui.view import CommandLine, View

__all__ = ["SORTS", "WINDOWS_S", "Frame", "Overlay", "Sort"]

WINDOWS_S = (60.0, 300.0, 900.0, 3_600.0)
"""The windows of time that can be shown."""

Sort = Literal["rate", "hit", "p99", "name"]
SORTS: tuple[Sort, ...] = ("rate", "hit", "p99", "name")

Overlay = Literal["", "help", "problems", "commands"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What to draw. Times are seconds of one clock."""

    state: State
    history: History
    now: float
    """The right edge of the plots: the last snapshot's time while live or frozen."""
    throughput_axis: Axis
    latency_axis: Axis
    clock: float = 0.0
    """The moment of drawing, for countdowns."""
    snapshot: Snapshot | None = None
    """The last one seen, also after the connection is lost."""
    window_s: float = WINDOWS_S[0]
    client_order: tuple[int, ...] = ()
    sort: Sort = "rate"
    is_frozen: bool = False
    overlay: Overlay = ""
    cursor_s: float | None = None
    """Age of the moment that is read off the plots."""
    address: str = ""
    offers: tuple[str, ...] = ()
    """Other addresses of this run, the last one first."""
    can_start: bool = True
    """A daemon can be started at this address."""
    zone: tzinfo | None = None
    """For the times of events; None is this machine's."""
    glyphs: Glyphs = UNICODE
    keys: Keymap = KEYMAP
    command: CommandLine = field(default_factory=CommandLine)
    """What is typed where commands are looked for."""
    panels: tuple[PanelContent, ...] = ()
    """Of other packages."""
    screen: ScreenName = "overview"
    views: Mapping[ScreenName, View] = field(default_factory=dict)
    answers: Answers = field(default_factory=Answers)
    tape: Tape | None = None
    """The recording that is being made or played."""

    @property
    def view(self) -> View:
        """The part of the screen that is shown."""
        return self.views.get(self.screen, _UNTOUCHED)


_UNTOUCHED = View()
