"""What the first line says of a recording that is being made or played."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Playback", "Tape", "Taping"]


@dataclass(frozen=True, slots=True)
class Taping:
    """A recording is being made."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Playback:
    """A recording is being played."""

    position_s: float
    length_s: float
    speed: float
    state: Literal["playing", "paused", "ended"]


Tape = Taping | Playback
