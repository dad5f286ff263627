"""How a client stands to one limit, and to all of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from emberd.plugins import ClientLimit

__all__ = ["NEAR", "closest", "standing"]

NEAR: Final = 0.8
"""The share from which a client is told to be near its limit."""


def standing(used_ratio: float, wait_s: float, limit: str) -> ClientLimit:
    """`wait_s` is the time until the smallest demand is let in; 0 where that is now."""
    if wait_s > 0:
        return ClientLimit(state="limited", used_ratio=1.0, retry_after_s=wait_s, limit=limit)
    used = min(used_ratio, 1.0)
    return ClientLimit(state="near" if used >= NEAR else "free", used_ratio=used, limit=limit)


def closest(standings: Iterable[ClientLimit]) -> ClientLimit | None:
    """The one with the longest wait, else the one that is used most; None where nothing limits."""
    return max(standings, key=lambda each: (each.retry_after_s, each.used_ratio), default=None)
