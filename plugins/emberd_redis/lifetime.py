"""How long a record lives."""

from __future__ import annotations

from dataclasses import dataclass

from emberd.config import CacheSettings
from emberd_redis.settings import RedisSettings

__all__ = ["Lifetime"]


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Redis's own time to live, and the age that the cache's settings allow."""

    ttl_ms: int = 0
    """0 means that Redis never forgets it."""
    slides: bool = False
    """A hit begins the time anew."""
    longest_age_s: float = 0.0
    """After which a record is a miss; 0 means never."""

    @classmethod
    def of(cls, settings: RedisSettings, cache: CacheSettings) -> Lifetime:
        bounds = [ttl_s for ttl_s in (settings.ttl_s, cache.ttl_s) if ttl_s]
        return cls(
            ttl_ms=max(1, int(1_000 * min(bounds))) if bounds else 0,
            slides=settings.refresh_ttl or cache.sliding_ttl,
            longest_age_s=0.0 if cache.sliding_ttl else cache.ttl_s,
        )
