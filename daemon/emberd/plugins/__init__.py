"""What a plugin may build on: hook markers and the contracts of the things it can add."""

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

__all__ = [
    "CacheTier",
    "Demand",
    "EmbeddedText",
    "Embedder",
    "EmbedderModel",
    "MetricsExporter",
    "Observer",
    "Outcome",
    "PluginContext",
    "RateLimiter",
    "Record",
    "Secret",
    "StatisticsSource",
    "Truncate",
    "hookimpl",
    "hookspec",
]
