"""The badge of a recording that is being made or played, in words."""

from __future__ import annotations

from collections.abc import Sequence

from emberd_tui.format import position
from emberd_tui.spans import Line, Span
from emberd_tui.tape import Playback, Tape, Taping

__all__ = ["badges"]


def badges(tape: Tape | None) -> Sequence[Line]:
    """The richest first; a click on it does what its key does."""
    match tape:
        case Taping(seconds=seconds):
            texts = [f" REC {position(seconds)} ", " REC "]
            return [(Span(text, "alert", "stop_recording"),) for text in texts]
        case Playback(position_s=at, length_s=length, speed=speed, state=state):
            place = f" REPLAY {position(at)}"
            times = f"{speed:g}x" if speed >= 1 else f"1/{1 / speed:g}x"
            texts = [
                f"{place} / {position(length)}  {times} {state} ",
                f"{place} {times} {state} ",
                f"{place} {state} ",
                " REPLAY ended " if state == "ended" else f"{place} ",
            ]
            return [(Span(text, "badge", "pause"),) for text in texts]
    return [()]
