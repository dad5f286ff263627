"""The overview asks for the past once, so that its plots are full from the start."""

from __future__ import annotations

from emberd_tui.asks import AskHistory
from emberd_tui.frame import Frame
from emberd_tui.screens.spec import Spec

__all__ = ["OVERVIEW"]

# Five minutes by the second, and the hour before them more coarsely.
_WINDOWS_S = (300.0, 3_600.0)


def _wants(frame: Frame) -> tuple[AskHistory, ...]:
    # One after the other: what is finer must be there first.
    known = frame.answers.pasts + 1
    return tuple(AskHistory(window) for window in _WINDOWS_S[:known])


OVERVIEW = Spec(wants=_wants)
