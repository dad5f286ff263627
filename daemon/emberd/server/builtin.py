"""The persistent tier, offered as any plugin offers one."""

from __future__ import annotations

from emberd.cache.disk import LateLmdbTier, LmdbOptions
from emberd.plugins import CacheTier, PluginContext, hookimpl

__all__ = ["PersistentTier"]


class PersistentTier:
    """LMDB below the daemon's data folder, unless `cache.disk_mib` is 0."""

    @hookimpl
    def emberd_cache_tiers(self, context: PluginContext) -> list[CacheTier]:
        settings = context.cache_settings
        if not settings.disk_mib:
            return []
        return [LateLmdbTier(context.folder, LmdbOptions.from_settings(settings))]
