"""What a client says first, and what the daemon answers to it."""

from __future__ import annotations

from typing import Final

import msgspec

__all__ = ["PROTOCOL_VERSION", "LoadedModel", "ServerInfo", "ServerLimits", "Welcome"]

PROTOCOL_VERSION: Final = 1
"""Changes only when something that old peers rely on changes its meaning."""

_MIB = 1 << 20


class ServerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The program at the other end."""

    name: str = ""
    version: str = ""
    pid: int = 0


class ServerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one connection may ask for: the daemon's `limits` settings, under their own names."""

    frame_mib: int = 64
    texts: int = 16_384
    text_bytes: int = _MIB
    requests_in_flight: int = 64
    mib_in_flight: int = 32
    write_mib: int = 128
    write_s: float = 10.0

    @property
    def frame_bytes(self) -> int:
        return self.frame_mib * _MIB


class LoadedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that the daemon has loaded."""

    fingerprint: str = ""
    dim: int = 0
    max_tokens: int = 0


class Welcome(msgspec.Struct, frozen=True, kw_only=True):
    """The result of `hello`. Fields that a reader does not know are ignored."""

    protocol: int = PROTOCOL_VERSION
    server: ServerInfo = ServerInfo()
    limits: ServerLimits = ServerLimits()
    models: dict[str, LoadedModel] = {}
    default_model: str = ""
    namespace: str = "default"
    kept_dtype: str = ""
    """How the daemon keeps vectors (f16, f32): what travels so has lost nothing. Empty where it
    does not say."""
