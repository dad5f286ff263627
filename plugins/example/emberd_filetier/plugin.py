"""The hooks: what emberd asks of this package, and what it gets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec
from emberd.plugins import CacheTier, PluginContext, StatisticsSource, hookimpl

from emberd_filetier.tier import FileTier

__all__ = ["FileTierPlugin", "FileTierSettings", "plugin"]

_FILE = "vectors.log"


class FileTierSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The section `[plugin.filetier]`."""

    budget_mib: Annotated[int, msgspec.Meta(ge=1)] = 256
    """The file's largest size; the oldest records go first."""
    folder: str = ""
    """Where the file lies; empty means the plugin's own folder."""


class FileTierPlugin:
    """Its methods are called on a thread of the plugin's own, one after the other."""

    _tier: FileTier

    @hookimpl
    def emberd_settings(self) -> type[msgspec.Struct]:
        return FileTierSettings

    @hookimpl
    def emberd_check(self, context: PluginContext) -> None:
        folder = _folder(context)
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            raise ValueError(
                f"{folder} is not a folder that can be written. Make it, or set "
                "plugin.filetier.folder to another one."
            )

    @hookimpl
    def emberd_cache_tiers(self, context: PluginContext) -> list[CacheTier]:
        budget_bytes = context.settings.budget_mib << 20
        self._tier = FileTier(_folder(context) / _FILE, budget_bytes)
        context.log.info("%s holds %d vectors", _FILE, self._tier.stats().entries)
        return [self._tier]

    @hookimpl
    def emberd_statistics(self, context: PluginContext) -> StatisticsSource:
        return self._tier


def _folder(context: PluginContext) -> Path:
    return Path(context.settings.folder).expanduser() if context.settings.folder else context.folder


plugin = FileTierPlugin()
