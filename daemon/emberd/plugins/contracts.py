"""Contracts between the daemon's core and what can be plugged into it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from emberd.wire.snapshot import TierStats

__all__ = ["CacheTier"]


@runtime_checkable
class CacheTier(Protocol):
    """A cache tier below the memory tier: opaque 16-byte keys to opaque values.

    Every method may block; the chain calls them on its worker threads, several at a time, and
    never on the event loop. Whatever one raises is a miss (or a lost write), never a failed
    request, and trips the tier's breaker when it goes on. A value that comes back must be, byte
    for byte, one that was set under that key.
    """

    name: str

    def get_many(self, namespace: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """One entry a key, in the order asked; None for a miss. Keys may repeat."""
        ...

    def set_many(self, namespace: str, items: Sequence[tuple[bytes, bytes]]) -> None:
        """Keep `(key, value)` pairs; the last of equal keys wins. May drop what does not fit."""
        ...

    def delete_many(self, namespace: str, keys: Sequence[bytes]) -> int:
        """Forget these keys; returns how many were there."""
        ...

    def clear(self, namespace: str | None = None) -> int:
        """Forget a namespace, or everything; returns the number of records."""
        ...

    def stats(self) -> TierStats:
        """Figures for the snapshot; cheap, called once a second."""
        ...

    def close(self) -> None:
        """Write what is pending and let go of files. A second call does nothing."""
        ...
