"""The plugins of a daemon: built-in ones and those that other packages declare.

pluggy's own loader stops at the first broken plugin and one raising hook ends the whole call;
here each plugin is loaded and asked by itself.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from typing import Any

import pluggy

from emberd.plugins.contracts import CacheTier
from emberd.plugins.hooks import PROJECT, HookSpecs, PluginContext

__all__ = ["Plugins"]


class Plugins:
    """Plugins by name. `on_failure(name, error)` hears of each that does not do what it should."""

    def __init__(self, on_failure: Callable[[str, BaseException], None]) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(HookSpecs)
        self._on_failure = on_failure

    def register(self, plugin: Any, name: str) -> bool:
        """Add a plugin; one that cannot be added is reported, left out, and False returned."""
        try:
            self._manager.register(plugin, name)
            self._manager.check_pending()
        except Exception as exc:
            # pluggy keeps what it had registered when a later check fails.
            if self._manager.is_registered(plugin):
                self._manager.unregister(plugin)
            self._on_failure(name, exc)
            return False
        return True

    def load_installed(self) -> None:
        """Add the plugins that installed packages declare in the entry point group `emberd`."""
        for entry in importlib.metadata.entry_points(group=PROJECT):
            if entry.dist is not None and entry.dist.name == PROJECT:
                continue  # ours are loaded when they have settings
            try:
                plugin = entry.load()
            except Exception as exc:
                self._on_failure(entry.name, exc)
            else:
                self.register(plugin, entry.name)

    def names(self) -> list[str]:
        """The plugins that are in use, in the order they were added."""
        return [name for name, _ in self._manager.list_name_plugin()]

    def cache_tiers(self, context: PluginContext) -> list[CacheTier]:
        """The tiers of every plugin, in the order the plugins were added."""
        tiers: list[CacheTier] = []
        for implementation in self._manager.hook.emberd_cache_tiers.get_hookimpls():
            try:
                tiers += _checked(
                    implementation.function(*([context] * len(implementation.argnames)))
                )
            except Exception as exc:
                self._on_failure(implementation.plugin_name, exc)
        return tiers


def _checked(tiers: Any) -> list[CacheTier]:
    found = list(tiers or [])
    for tier in found:
        if not isinstance(tier, CacheTier):
            raise TypeError(f"{tier!r} is not a CacheTier")
    return found
