"""The screens by name, in the order of their keys."""

from __future__ import annotations

from typing import Literal, get_args

__all__ = ["SCREENS", "TITLES", "ScreenName", "screen_after"]

ScreenName = Literal["overview", "requests", "cache", "index", "plugins", "logs"]

SCREENS: tuple[ScreenName, ...] = get_args(ScreenName)
"""The first is on key 1."""

TITLES: dict[ScreenName, str] = {name: name.capitalize() for name in SCREENS}


def screen_after(name: ScreenName, steps: int) -> ScreenName:
    """The next screen (1) or the one before (-1), round and round."""
    return SCREENS[(SCREENS.index(name) + steps) % len(SCREENS)]
