"""Hook specifications: what a plugin may offer, and when it is asked.

Hooks are called at start-up only, on the plugin's own thread and within `plugins.start_s`; the
objects that they return are then called directly, once a batch, so a hook's own cost never touches
a request.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pluggy

from emberd.config import CacheSettings
from emberd.plugins.contracts import (
    CacheTier,
    Embedder,
    MetricsExporter,
    Observer,
    RateLimiter,
    StatisticsSource,
)

__all__ = ["PROJECT", "HookSpecs", "PluginContext", "hookimpl", "hookspec"]

PROJECT = "emberd"
"""The entry point group of plugins, too."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@dataclass(frozen=True, slots=True)
class PluginContext:
    """What a plugin may know of the daemon that loads it."""

    name: str
    """The plugin's own, as its entry point says it."""
    settings: Any
    """The struct that `emberd_settings` named, with the section's values; None without that."""
    folder: Path
    """A private folder for the plugin's files; it exists."""
    cache_settings: CacheSettings
    log: logging.Logger
    """Its lines appear in the daemon's log with the plugin's name."""
    models_folder: Path
    """The store of models, which may not exist yet."""


class HookSpecs:
    """Every hook. The arguments are passed by name; an implementation takes those it needs."""

    @hookspec
    def emberd_settings(self) -> type[msgspec.Struct]:
        """The type of the plugin's section `[plugin.NAME]`: a `msgspec.Struct` whose fields have
        defaults. Called first.

        A field annotated `emberd.plugins.Secret` is masked wherever settings are shown. Without
        this hook the plugin takes no settings, and a section for it is an error.
        """
        raise NotImplementedError

    @hookspec
    def emberd_check(self, context: PluginContext) -> None:
        """Raise where the plugin cannot work here, with what to do; called after the settings
        were read, and again by `emberd plugins check`."""
        raise NotImplementedError

    @hookspec
    def emberd_cache_tiers(self, context: PluginContext) -> list[CacheTier]:
        """Cache tiers, nearest first; they are asked after the memory tier and after the tiers of
        plugins that were loaded earlier."""
        raise NotImplementedError

    @hookspec
    def emberd_rate_limiters(self, context: PluginContext) -> list[RateLimiter]:
        """Rate limiters; work is let in when all agree."""
        raise NotImplementedError

    @hookspec
    def emberd_embedders(self, context: PluginContext) -> list[Embedder]:
        """Embedders for models of their own."""
        raise NotImplementedError

    @hookspec
    def emberd_observers(self, context: PluginContext) -> list[Observer]:
        """Who hears of requests and batches."""
        raise NotImplementedError

    @hookspec
    def emberd_metrics_exporters(self, context: PluginContext) -> list[MetricsExporter]:
        """Who takes the daemon's figures elsewhere, once a second."""
        raise NotImplementedError

    @hookspec
    def emberd_statistics(self, context: PluginContext) -> StatisticsSource:
        """Figures of the plugin's own, for `emberd plugins info` and the dashboard."""
        raise NotImplementedError

    @hookspec
    def emberd_daemon_started(self, context: PluginContext) -> None:
        """The socket answers."""
        raise NotImplementedError

    @hookspec
    def emberd_daemon_stopping(self, context: PluginContext) -> None:
        """No new work is taken; what the plugin registered is closed after this. The daemon waits
        `plugins.start_s` at most."""
        raise NotImplementedError
