"""What the daemon asks of this plugin."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from emberd.errors import InvalidConfigError
from emberd.plugins import PluginContext, RateLimiter, hookimpl
from emberd_limits.adaptive import AdaptiveConcurrency
from emberd_limits.quota import DailyQuota
from emberd_limits.rates import RateLimits
from emberd_limits.settings import LimitsSettings

if TYPE_CHECKING:
    import msgspec

__all__ = ["Limits", "plugin"]

_FILE = "quota.json"


class Limits:
    """The plugin; it keeps nothing itself."""

    @hookimpl
    def emberd_settings(self) -> type[msgspec.Struct]:
        """The section `[plugin.limits]`."""
        return LimitsSettings

    @hookimpl
    def emberd_check(self, context: PluginContext) -> None:
        """Raises InvalidConfigError for limits that cannot be kept."""
        settings: LimitsSettings = context.settings
        if settings.adaptive.min > settings.adaptive.max:
            raise InvalidConfigError(
                f"plugin.limits.adaptive: min={settings.adaptive.min} is above "
                f"max={settings.adaptive.max}. Raise max."
            )
        declared = sorted({"default", *context.cache_settings.namespaces})
        for name in [*settings.namespace, *settings.quota.namespace]:
            if name not in declared:
                near = difflib.get_close_matches(name, declared, n=1)
                hint = f"Did you mean {near[0]!r}?" if near else f"Declared: {', '.join(declared)}."
                raise InvalidConfigError(
                    f"plugin.limits: the namespace {name!r} is not declared. {hint}"
                )

    @hookimpl
    def emberd_rate_limiters(self, context: PluginContext) -> list[RateLimiter]:
        """Those that have something to limit."""
        settings: LimitsSettings = context.settings
        limiters: list[RateLimiter] = []
        rates = RateLimits(settings)
        if rates.is_needed:
            limiters.append(rates)
        if settings.adaptive.enabled:
            limiters.append(AdaptiveConcurrency(settings.adaptive))
        quota = DailyQuota(settings.quota, context.folder / _FILE, context.log)
        if quota.is_needed:
            limiters.append(quota)
        return limiters


plugin = Limits()
