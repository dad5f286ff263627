"""What a plugin may build on: hook markers and the contracts of the things it can add."""

from emberd.plugins.contracts import CacheTier
from emberd.plugins.hooks import TierContext, hookimpl, hookspec

__all__ = ["CacheTier", "TierContext", "hookimpl", "hookspec"]
