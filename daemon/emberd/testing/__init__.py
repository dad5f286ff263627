"""For the tests of those who extend emberd: a daemon in the test's process, and contracts.

The pytest plugin of the same package (`emberd.testing.plugin`) has the fixtures.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emberd.testing.cache_tier import CacheTierContract
    from emberd.testing.daemon import InProcessDaemon
    from emberd.testing.deterministic import DeterministicEmbedder
    from emberd.testing.embedder import EmbedderContract
    from emberd.testing.leaks import LeakCheck
    from emberd.testing.rate_limiter import RateLimiterContract

__all__ = [
    "CacheTierContract",
    "DeterministicEmbedder",
    "EmbedderContract",
    "InProcessDaemon",
    "LeakCheck",
    "RateLimiterContract",
]

_MODULES = {
    "CacheTierContract": "cache_tier",
    "DeterministicEmbedder": "deterministic",
    "EmbedderContract": "embedder",
    "InProcessDaemon": "daemon",
    "LeakCheck": "leaks",
    "RateLimiterContract": "rate_limiter",
}


def __getattr__(name: str) -> Any:
    # Lazy, as pytest imports this package wherever emberd is installed.
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
