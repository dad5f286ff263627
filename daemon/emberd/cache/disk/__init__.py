"""The persistent tier: LMDB below, and everything that keeps it whole and within its budget."""

from emberd.cache.disk.late import LateLmdbTier
from emberd.cache.disk.tier import LmdbOptions, LmdbTier

__all__ = ["LateLmdbTier", "LmdbOptions", "LmdbTier"]
