"""What roles look like: true colour (dark and light), the terminal's own 16 colours, or none.

Meaning never rests on colour: series differ in their dots, states in their marks and words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from rich.color import Color
from rich.style import Style

from emberd_tui.spans import Role

__all__ = ["ANSI", "DARK", "LIGHT", "MONO", "Palette", "Tone", "choose"]


@dataclass(frozen=True, slots=True)
class Tone:
    """Colours by Rich's names (`#rrggbb`, `bright_red`); empty is the terminal's own."""

    color: str = ""
    background: str = ""
    is_bold: bool = False
    is_faint: bool = False
    is_reverse: bool = False


@dataclass(frozen=True)
class Palette:
    """One look. `background` is the screen's; empty leaves the terminal's own."""

    name: str
    background: str
    tones: Mapping[Role, Tone]
    dim: float = 0.5
    """How much of a colour is left when it is faded; true colour only."""

    def style(self, role: Role, is_dim: bool = False) -> Style:
        """The Rich style of a role, faded or not."""
        return _style(self.name, role, is_dim)

    def build(self, role: Role, is_dim: bool) -> Style:
        """As `style`, without its memory."""
        tone = self.tones.get(role, self.tones["text"])
        color, background = tone.color, tone.background or self.background
        if is_dim and self.background:
            color = _mix(color, self.background, self.dim)
            background = _mix(background, self.background, self.dim)
        return Style(
            color=color or None,
            bgcolor=background or None,
            bold=(tone.is_bold and not is_dim) or None,
            dim=((tone.is_faint or is_dim) and not self.background) or None,
            reverse=tone.is_reverse or None,
        )


def _mix(color: str, background: str, share: float) -> str:
    front, back = Color.parse(color).triplet, Color.parse(background).triplet
    if front is None or back is None:
        return color
    mixed = (round(b + (f - b) * share) for f, b in zip(front, back, strict=True))
    return "#{:02x}{:02x}{:02x}".format(*mixed)


DARK = Palette(
    "dark",
    "#15120f",
    {
        "text": Tone("#d9d0c7"),
        "strong": Tone("#f7f1ea", is_bold=True),
        "muted": Tone("#978b80"),
        "faint": Tone("#6b6057"),
        "title": Tone("#ffb070", is_bold=True),
        "border": Tone("#4a4038"),
        "hits": Tone("#4ec9a5"),
        "computed": Tone("#ff8a3d"),
        "p50": Tone("#6fb3ff"),
        "p99": Tone("#d794ff"),
        "good": Tone("#7bd88f"),
        "warning": Tone("#f7c657", is_bold=True),
        "bad": Tone("#ff6a6a", is_bold=True),
        "accent": Tone("#e8b04a"),
        "track": Tone("#3a322c"),
        "key": Tone("#ffb070", is_bold=True),
        "badge": Tone("#15120f", "#8fc7ff", is_bold=True),
        "alert": Tone("#ffffff", "#a8322f", is_bold=True),
        "cursor": Tone("#fff6c2", is_bold=True),
        "selected": Tone("#fff6ea", "#4a3a2a", is_bold=True),
    },
)

LIGHT = Palette(
    "light",
    "#fbf8f4",
    {
        "text": Tone("#3a322b"),
        "strong": Tone("#14100c", is_bold=True),
        "muted": Tone("#75695e"),
        "faint": Tone("#9a8e82"),
        "title": Tone("#b24a00", is_bold=True),
        "border": Tone("#c9bdb0"),
        "hits": Tone("#0b7d66"),
        "computed": Tone("#c04d00"),
        "p50": Tone("#1464b4"),
        "p99": Tone("#8a37b5"),
        "good": Tone("#1d7a39"),
        "warning": Tone("#8f5f00", is_bold=True),
        "bad": Tone("#bf2626", is_bold=True),
        "accent": Tone("#936500"),
        "track": Tone("#dcd2c6"),
        "key": Tone("#b24a00", is_bold=True),
        "badge": Tone("#ffffff", "#1464b4", is_bold=True),
        "alert": Tone("#ffffff", "#bf2626", is_bold=True),
        "cursor": Tone("#000000", is_bold=True),
        "selected": Tone("#14100c", "#f0dcc6", is_bold=True),
    },
)

ANSI = Palette(
    "ansi",
    "",
    {
        "text": Tone(),
        "strong": Tone(is_bold=True),
        "muted": Tone(),
        "faint": Tone(is_faint=True),
        "title": Tone("yellow", is_bold=True),
        "border": Tone(is_faint=True),
        "hits": Tone("green"),
        "computed": Tone("yellow"),
        "p50": Tone("cyan"),
        "p99": Tone("magenta"),
        "good": Tone("green"),
        "warning": Tone("yellow", is_bold=True),
        "bad": Tone("red", is_bold=True),
        "accent": Tone("cyan"),
        "track": Tone(is_faint=True),
        "key": Tone("yellow", is_bold=True),
        "badge": Tone("cyan", is_reverse=True),
        "alert": Tone("red", is_bold=True, is_reverse=True),
        "cursor": Tone(is_bold=True),
        "selected": Tone(is_reverse=True),
    },
)

MONO = Palette(
    "mono",
    "",
    {
        "text": Tone(),
        "strong": Tone(is_bold=True),
        "muted": Tone(),
        "faint": Tone(is_faint=True),
        "title": Tone(is_bold=True),
        "border": Tone(is_faint=True),
        "warning": Tone(is_bold=True),
        "bad": Tone(is_bold=True),
        "track": Tone(is_faint=True),
        "key": Tone(is_bold=True),
        "badge": Tone(is_reverse=True),
        "alert": Tone(is_bold=True, is_reverse=True),
        "cursor": Tone(is_bold=True),
        "selected": Tone(is_reverse=True),
    },
)

_PALETTES = {palette.name: palette for palette in (DARK, LIGHT, ANSI, MONO)}


@lru_cache(512)
def _style(name: str, role: Role, is_dim: bool) -> Style:
    return _PALETTES[name].build(role, is_dim)


def choose(theme: Literal["dark", "light"], color_system: str | None, *, no_color: bool) -> Palette:
    """The palette for a terminal: its own colours where it has only 16, none with NO_COLOR."""
    if no_color:
        return MONO
    if color_system in ("truecolor", "256"):
        return LIGHT if theme == "light" else DARK
    return ANSI
