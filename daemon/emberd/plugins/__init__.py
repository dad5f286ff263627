"""What a plugin may build on: contracts of the things that can be plugged in."""

from emberd.plugins.contracts import CacheTier

__all__ = ["CacheTier"]
