"""For the tests of those who extend emberd: contracts to subclass."""

from emberd.testing.cache_tier import CacheTierContract

__all__ = ["CacheTierContract"]
