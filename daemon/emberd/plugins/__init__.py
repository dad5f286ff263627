"""What a plugin may build on: hook markers and the contracts of the things it can add."""

from emberd.plugins.abilities import ClientLimits, Dated, Inspectable, Maintained, Tenanted
from emberd.plugins.contracts import (
    CacheTier,
    Demand,
    EmbeddedText,
    Embedder,
    EmbedderModel,
    MetricsExporter,
    Observer,
    Outcome,
    RateLimiter,
    Record,
    StatisticsSource,
    Truncate,
)
from emberd.plugins.hooks import PluginContext, hookimpl, hookspec
from emberd.plugins.secret import Secret
from emberd.wire.snapshot import ClientLimit

__all__ = [
    "CacheTier",
    "ClientLimit",
    "ClientLimits",
    "Dated",
    "Demand",
    "EmbeddedText",
    "Embedder",
    "EmbedderModel",
    "Inspectable",
    "Maintained",
    "MetricsExporter",
    "Observer",
    "Outcome",
    "PluginContext",
    "RateLimiter",
    "Record",
    "Secret",
    "StatisticsSource",
    "Tenanted",
    "Truncate",
    "hookimpl",
    "hookspec",
]
