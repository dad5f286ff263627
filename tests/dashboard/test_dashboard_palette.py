from __future__ import annotations

from typing import get_args

import pytest
from rich.color import Color
from rich.color_triplet import ColorTriplet

from emberd_tui.palette import ANSI, DARK, LIGHT, MONO, Palette, choose
from emberd_tui.spans import Role

ROLES: tuple[Role, ...] = get_args(Role)
# Lines and tracks may be faint; everything that is read for its meaning may not.
READ = tuple(role for role in ROLES if role not in ("border", "track", "faint"))


def luminance(color: ColorTriplet) -> float:
    parts = [
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4
        for part in color.normalized
    ]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(palette: Palette, role: Role) -> float:
    style = palette.style(role)
    assert style.color is not None
    assert style.bgcolor is not None
    pair = sorted(luminance(found.get_truecolor()) for found in (style.color, style.bgcolor))
    return (pair[1] + 0.05) / (pair[0] + 0.05)


@pytest.mark.parametrize("palette", [DARK, LIGHT], ids=["dark", "light"])
@pytest.mark.parametrize("role", READ)
def test_text_is_readable_by_the_rule_of_wcag_aa(palette: Palette, role: Role) -> None:
    assert contrast(palette, role) >= 4.5


@pytest.mark.parametrize("palette", [DARK, LIGHT], ids=["dark", "light"])
def test_even_faint_text_can_be_seen(palette: Palette) -> None:
    assert contrast(palette, "faint") >= 3.0


@pytest.mark.parametrize("palette", [DARK, LIGHT, ANSI], ids=["dark", "light", "ansi"])
@pytest.mark.parametrize("role", ROLES)
def test_every_role_has_a_tone(palette: Palette, role: Role) -> None:
    assert role in palette.tones


@pytest.mark.parametrize("role", ROLES)
def test_without_colour_there_is_none(role: Role) -> None:
    style = MONO.style(role)
    assert style.color is None
    assert style.bgcolor is None


@pytest.mark.parametrize("role", ROLES)
def test_sixteen_colours_are_the_terminal_s_own(role: Role) -> None:
    color = ANSI.style(role).color
    assert color is None or (color.number is not None and color.number < 16)


@pytest.mark.parametrize("palette", [DARK, LIGHT], ids=["dark", "light"])
def test_a_faded_role_is_closer_to_the_background(palette: Palette) -> None:
    full, faded = palette.style("text").color, palette.style("text", True).color
    assert full is not None
    assert faded is not None
    background = luminance(Color.parse(palette.background).get_truecolor())
    away = [abs(luminance(one.get_truecolor()) - background) for one in (full, faded)]
    assert away[1] < away[0]


def test_where_colours_cannot_be_mixed_fading_is_an_attribute() -> None:
    assert ANSI.style("good", True).dim
    assert MONO.style("good", True).dim


@pytest.mark.parametrize(
    ("color_system", "no_color", "palette"),
    [
        ("truecolor", False, DARK),
        ("256", False, DARK),
        ("standard", False, ANSI),
        (None, False, ANSI),
        ("truecolor", True, MONO),
    ],
)
def test_the_palette_suits_the_terminal(
    color_system: str | None, no_color: bool, palette: Palette
) -> None:
    assert choose("dark", color_system, no_color=no_color) is palette


def test_the_light_theme_is_light() -> None:
    assert choose("light", "truecolor", no_color=False) is LIGHT
