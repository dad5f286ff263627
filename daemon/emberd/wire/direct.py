"""What the daemon tells a client that wants to read the cache's file itself."""

from __future__ import annotations

import msgspec

__all__ = ["DirectAccess", "DirectModel"]


class DirectModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model as the keys of its vectors name it."""

    name: str = ""
    fingerprint: str = ""
    dim: int = 0
    prompts: dict[str, str] = {}


class DirectAccess(msgspec.Struct, frozen=True, kw_only=True):
    """The result of `cache.direct`."""

    refusal: str = ""
    """Why the file must not, or cannot, be read; the rest is then unset."""
    folder: str = ""
    map_bytes: int = 0
    format: int = 0
    dtype: str = ""
    """How numbers are kept: f16 or f32."""
    ttl_s: float = 0.0
    namespaces: list[str] = []
    model: DirectModel = DirectModel()
