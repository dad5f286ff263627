"""The section `[plugin.redis]`."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from emberd.plugins import Secret

__all__ = ["RedisSettings", "check_settings"]

SCHEMES = ("redis", "rediss", "unix")


class RedisSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A section without any key means the Redis of this machine."""

    url: str = "redis://127.0.0.1:6379/0"
    """`redis://`, `rediss://` (TLS) or `unix://`; of a cluster any of its servers. It may hold name
    and password, too."""
    username: Secret = ""
    """Of an access control list; empty means the server's default user."""
    password: Secret = ""
    """One in `url` comes before it."""
    cluster: Literal["auto"] | bool = "auto"
    """`auto` asks the server."""
    prefix: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")] = "e"
    """Of every key; daemons share vectors that have the same."""
    ttl_s: Annotated[float, msgspec.Meta(ge=0)] = 86_400.0
    """After which Redis forgets a vector; 0 means never. Never longer than `cache.ttl_s`."""
    refresh_ttl: bool = False
    """A hit begins the time anew; needs Redis 6.2."""
    timeout_ms: Annotated[int, msgspec.Meta(ge=1, le=400)] = 20
    """Longest wait for a server while a request waits for us; then it is a miss. 5 to 20 suit."""
    connect_timeout_ms: Annotated[int, msgspec.Meta(ge=1, le=400)] = 100
    """The same for a new connection."""
    write_timeout_ms: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 2_000
    """Of writing and clearing, which nobody waits for."""
    max_value_kib: Annotated[int, msgspec.Meta(ge=1)] = 64
    """Larger vectors are not kept in Redis."""
    single_flight: bool = False
    """One machine computes a text, the others wait for its vector."""
    wait_ms: Annotated[int, msgspec.Meta(ge=1, le=400)] = 300
    """With `single_flight`: how long they wait before they compute it themselves."""
    lock_ms: Annotated[int, msgspec.Meta(ge=1, le=60_000)] = 2_000
    """With `single_flight`: how long the others believe that one is still computing."""


def check_settings(settings: RedisSettings) -> None:
    """Raises ValueError where the settings cannot be right, with what to write instead."""
    parts = urlsplit(settings.url)
    if parts.scheme not in SCHEMES:
        raise ValueError(
            f"plugin.redis.url: {parts.scheme or 'no scheme'} is none of redis://host:port/0, "
            "rediss://host:port/0 and unix:///path/redis.sock."
        )
    if parts.scheme != "unix" and not parts.hostname:
        raise ValueError("plugin.redis.url: it names no host, as redis://host:6379/0 does.")
    try:
        _ = parts.port
    except ValueError as exc:
        raise ValueError(f"plugin.redis.url: {exc}.") from exc
