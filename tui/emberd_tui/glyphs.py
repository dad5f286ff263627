"""The two alphabets: Unicode (box drawing, braille) and ASCII."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ASCII", "UNICODE", "Glyphs"]


@dataclass(frozen=True, slots=True)
class Glyphs:
    """Every character that is not a letter or a number; one cell wide, but for the legends."""

    corners: str
    """Top left, top right, bottom left, bottom right."""
    horizontal: str
    vertical: str
    bar: str
    half_bar: str
    """The last, half-filled cell of a bar; empty where there is none."""
    track: str
    grid: str
    gap: str
    """Texture of a stretch of time without data."""
    cursor: str
    good: str
    warning: str
    bad: str
    waiting: str
    mark: str
    """Of a default."""
    sorted: str
    """Beside the heading of the column that a table is sorted by."""
    selected: str
    """Before the selected row of a list."""
    next: str
    """Between two stages, from the left to the right."""
    down: str
    up: str
    dot: str
    """Between two fields."""
    ellipsis: str
    none: str
    """Where there is no figure."""
    hits: str
    computed: str
    p50: str
    p99: str
    """The four as a legend shows them."""
    is_braille: bool


UNICODE = Glyphs(
    corners="╭╮╰╯",
    horizontal="─",
    vertical="│",
    bar="━",
    half_bar="╸",
    track="─",
    grid="┈",
    gap="╱",  # noqa: RUF001 - a hatch
    cursor="│",
    good="●",
    warning="▲",
    bad="✖",
    waiting="○",
    mark="★",
    sorted="▾",
    selected="▸",
    next="→",
    down="▾",
    up="▴",
    dot="·",
    ellipsis="…",
    none="–",  # noqa: RUF001 - a dash, as wide as a figure
    hits="⣿",
    computed="⢕",
    p50="⠤",
    p99="⠶",
    is_braille=True,
)

ASCII = Glyphs(
    corners="++++",
    horizontal="-",
    vertical="|",
    bar="#",
    half_bar="",
    track=".",
    grid=".",
    gap="/",
    cursor="|",
    good="*",
    warning="!",
    bad="X",
    waiting="o",
    mark="*",
    sorted="*",
    selected=">",
    next=">",
    down="v",
    up="^",
    dot="-",
    ellipsis="~",
    none="-",
    hits="#",
    computed="+",
    p50="o",
    p99="*",
    is_braille=False,
)
