"""The entry point."""

from __future__ import annotations

from emberd.errors import CacheUnavailableError
from emberd.plugins import CacheTier, PluginContext, StatisticsSource, hookimpl
from emberd_redis.settings import RedisSettings, check_settings
from emberd_redis.tier import RedisTier

__all__ = ["RedisPlugin", "plugin"]


class RedisPlugin:
    """Offers one tier."""

    def __init__(self) -> None:
        self._tier: RedisTier | None = None

    @hookimpl
    def emberd_settings(self) -> type[RedisSettings]:
        return RedisSettings

    @hookimpl
    def emberd_check(self, context: PluginContext) -> None:
        """At the start the settings alone are checked, as the daemon may well be there before its
        Redis; later also whether Redis answers and takes what is written."""
        check_settings(context.settings)
        stats = None if self._tier is None else self._tier.stats()
        if stats is not None and stats.message:
            raise CacheUnavailableError(stats.message)

    @hookimpl
    def emberd_cache_tiers(self, context: PluginContext) -> list[CacheTier]:
        self._tier = RedisTier(context.settings, context.cache_settings)
        return [self._tier]

    @hookimpl
    def emberd_statistics(self) -> StatisticsSource | None:
        return self._tier


plugin = RedisPlugin
"""The class: every daemon makes a plugin of its own."""
