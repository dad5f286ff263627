"""Hook specifications: what a plugin may offer, and when it is asked.

Hooks are called at start-up only; the objects that they return are then called directly, once a
batch, so a hook's own cost never touches a request.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pluggy

from emberd.config import CacheSettings
from emberd.plugins.contracts import CacheTier

__all__ = ["PROJECT", "TierContext", "hookimpl", "hookspec"]

PROJECT = "emberd"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@dataclass(frozen=True, slots=True)
class TierContext:
    """What a cache tier may know of the daemon that opens it."""

    folder: Path
    """A private folder for the tiers' files; it may not exist yet."""
    settings: CacheSettings


class HookSpecs:
    """Every hook. The arguments are passed by name; an implementation takes those it needs."""

    @hookspec
    def emberd_cache_tiers(self, context: TierContext) -> list[CacheTier]:
        """Called once at start, on a worker thread, before the socket answers.

        Returns the plugin's tiers, nearest first; they are asked after the memory tier and after
        the tiers of plugins registered earlier. A hook that raises costs its own tiers alone.
        """
        raise NotImplementedError
