"""A persistent tier that opens on a thread of its own, so that the daemon serves at once.

Opening can take long: a large file is checked page by page after an unclean stop. Until then
lookups miss and writes wait in their queue. Failing to open is a state that people see, never the
end of the daemon.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from emberd.cache.disk.tier import LmdbOptions, LmdbTier
from emberd.cache.lower import SharedFile
from emberd.errors import CacheUnavailableError, EmberdError
from emberd.wire.snapshot import TierStats

__all__ = ["LateLmdbTier"]

_OPENING = "The cache is being opened; after an unclean stop its file is checked first."
_CLOSED = "The cache is closed."


class LateLmdbTier:
    """An LmdbTier in `folder` and its abilities, opening from the moment this is made."""

    name = LmdbTier.name

    def __init__(self, folder: Path, options: LmdbOptions) -> None:
        self._folder = folder
        self._options = options
        self._lock = threading.Lock()
        self._settled = threading.Event()
        self._tier: LmdbTier | None = None
        self._message = _OPENING
        self._is_closed = False
        threading.Thread(target=self._open, name="cache-open", daemon=True).start()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it is open or has failed to; False when the time ran out first."""
        return self._settled.wait(timeout_s)

    def get_many(self, namespace: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """See CacheTier; all misses until it is open."""
        return self.get_many_dated(namespace, keys)[0]

    def get_many_dated(
        self, namespace: str, keys: Sequence[bytes]
    ) -> tuple[list[bytes | None], list[float]]:
        """See Dated."""
        if self._tier is None:
            return [None] * len(keys), [0.0] * len(keys)
        return self._tier.get_many_dated(namespace, keys)

    def set_many(self, namespace: str, items: Sequence[tuple[bytes, bytes]]) -> None:
        """See CacheTier; waits until it is open."""
        self._opened().set_many(namespace, items)

    def delete_many(self, namespace: str, keys: Sequence[bytes]) -> int:
        """See CacheTier; waits until it is open."""
        return self._opened().delete_many(namespace, keys)

    def clear(self, namespace: str | None = None) -> int:
        """See CacheTier; waits until it is open."""
        return self._opened().clear(namespace)

    def maintain(self) -> None:
        """See Maintained."""
        if self._tier is not None:
            self._tier.maintain()

    def mapping(self) -> SharedFile | None:
        """See Mapped."""
        return self._tier.mapping() if self._tier is not None else None

    def touch(self, rowids: Sequence[int]) -> None:
        """See Mapped."""
        if self._tier is not None:
            self._tier.touch(rowids)

    def namespaces(self) -> dict[str, tuple[int, int]]:
        """See Tenanted."""
        return self._tier.namespaces() if self._tier is not None else {}

    def stats(self) -> TierStats:
        """See CacheTier; `off`, with the reason, until it is open."""
        if self._tier is not None:
            return self._tier.stats()
        return TierStats(
            name=self.name,
            kind="lmdb",
            state="off",
            message=self._message,
            budget_bytes=self._options.budget_bytes,
        )

    def close(self) -> None:
        """See CacheTier. An opening that is under way closes by itself when it is through."""
        with self._lock:
            self._is_closed = True
            if self._tier is None:
                self._message = _CLOSED
        self._settled.set()
        if self._tier is not None:
            self._tier.close()

    def _opened(self) -> LmdbTier:
        self._settled.wait()
        if self._tier is None:
            raise CacheUnavailableError(self._message)
        return self._tier

    def _open(self) -> None:
        tier, message = None, ""
        try:
            tier = LmdbTier.open(self._folder, self._options)
        except EmberdError as exc:
            message = exc.message
        except Exception as exc:  # the thread's end must not be a tier that opens for ever
            message = f"The cache could not be opened: {exc!r}. The log has more."
        with self._lock:
            if not self._is_closed:
                self._tier, self._message = tier, message
                tier = None
        if tier is not None:
            tier.close()
        self._settled.set()
