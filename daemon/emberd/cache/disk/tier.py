"""The persistent tier, over LMDB.

Rows are appended under row ids that only grow, and leave at the tail by CLOCK, whose visited bits
are in RAM: reads never write. Every row's checksum is checked whenever it is read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from emberd.cache.disk.file_systems import refuse_network_file_system
from emberd.cache.disk.reader import RowsRead, read_rows
from emberd.cache.disk.rows import Ageing
from emberd.cache.disk.slides import Slides
from emberd.cache.disk.store import Store
from emberd.cache.disk.touches import Touches
from emberd.cache.disk.writer import RowWriter
from emberd.cache.lower import SharedFile
from emberd.config import CacheSettings
from emberd.errors import CacheUnavailableError
from emberd.records.keys import KEY_BYTES
from emberd.wire.snapshot import TierStats

__all__ = ["LmdbOptions", "LmdbTier"]

_MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LmdbOptions:
    """Budgets in bytes, the TTL in seconds (0 for none), and the clocks (for tests)."""

    budget_bytes: int
    namespace_budgets: Mapping[str, int] = field(default_factory=dict)
    ttl_s: float = 0.0
    sliding_ttl: bool = False
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic

    @classmethod
    def from_settings(cls, settings: CacheSettings) -> LmdbOptions:
        return cls(
            budget_bytes=settings.disk_mib * _MIB,
            namespace_budgets={
                name: namespace.disk_mib * _MIB
                for name, namespace in settings.namespaces.items()
                if namespace.disk_mib
            },
            ttl_s=settings.ttl_s,
            sliding_ttl=settings.sliding_ttl,
        )


class LmdbTier:
    """A CacheTier that outlives the process. Every method may be called on any thread.

    All raise CacheUnavailableError where the file cannot be used, and in a forked child.
    """

    name = "lmdb"

    def __init__(self, store: Store, options: LmdbOptions) -> None:
        self._store = store
        self._options = options
        self._ageing = Ageing(options.ttl_s, options.sliding_ttl, Touches())
        self._writer = RowWriter(store, self._ageing, options.namespace_budgets, options.clock)
        self._slides = Slides(options.ttl_s)
        self._expired = self._corrupt = self._errors = 0

    @classmethod
    def open(cls, folder: Path, options: LmdbOptions) -> LmdbTier:
        """Open or make the cache in `folder`; after an unclean stop this checks the whole file.

        Raises CacheUnavailableError: a network file system, another process, no right to write.
        """
        refuse_network_file_system(folder)
        return cls(Store(folder, options.budget_bytes, options.monotonic), options)

    def get_many(self, namespace: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """See CacheTier. A row that is too old or damaged is a miss."""
        return self.get_many_dated(namespace, keys)[0]

    def get_many_dated(
        self, namespace: str, keys: Sequence[bytes]
    ) -> tuple[list[bytes | None], list[float]]:
        """See Dated."""
        now = self._options.clock()
        with self._store.reading(namespace) as (txn, table):
            if table is None:
                return [None] * len(keys), [0.0] * len(keys)
            read = read_rows(txn, table, keys, self._ageing, now)
        self._note(namespace, read, now)
        return read.values, read.born

    def peek(self, namespace: str, key: bytes) -> tuple[bytes | None, float | None]:
        """See Inspectable."""
        with self._store.reading(namespace) as (txn, table):
            if table is None:
                return None, None
            read = read_rows(txn, table, [key], self._ageing, self._options.clock())
        return read.values[0], read.hits[0][1] if read.hits else None

    def set_many(self, namespace: str, items: Sequence[tuple[bytes, bytes]]) -> None:
        """See CacheTier. Values over a 64th of the budget are dropped.

        Raises ValueError for a key that is not 16 bytes long.
        """
        if any(len(key) != KEY_BYTES for key, _ in items):
            raise ValueError(f"a cache key must be {KEY_BYTES} bytes long")
        try:
            self._writer.write(namespace, items)
        except CacheUnavailableError:
            self._errors += 1
            raise

    def delete_many(self, namespace: str, keys: Sequence[bytes]) -> int:
        """See CacheTier."""
        return self._writer.forget(namespace, keys)

    def clear(self, namespace: str | None = None) -> int:
        """See CacheTier. Where nothing else is left, the disk space is given back at once."""
        held = {name: entries for name, (entries, _) in self.namespaces().items() if entries}
        if namespace is not None and held.keys() - {namespace}:
            return self._writer.clear(namespace)
        self._store.wipe()
        self._ageing.touches.clear()
        return sum(held.values())

    def maintain(self) -> None:
        """See Maintained: delete what is too old; keep the slides of a sliding TTL."""
        self._store.check_readers()
        if self._options.ttl_s:
            self._save_slides()
            self._writer.sweep()

    def mapping(self) -> SharedFile | None:
        """See Mapped."""
        return self._store.mapping

    def touch(self, rowids: Sequence[int]) -> None:
        """See Mapped."""
        known = range(self._store.next_rowid)
        self._ageing.touches.mark(
            (rowid for rowid in rowids if rowid in known), int(self._options.clock())
        )

    def namespaces(self) -> dict[str, tuple[int, int]]:
        """See Tenanted."""
        tables = list(self._store.tables.values())
        return {table.namespace: (table.entries, table.size_bytes) for table in tables}

    def stats(self) -> TierStats:
        """See CacheTier. Hits and misses are counted by the chain."""
        held, turned = self.namespaces().values(), self._writer.turned
        return TierStats(
            name=self.name,
            kind="lmdb",
            state=self._store.state,
            message=self._store.message,
            entries=sum(entries for entries, _ in held),
            size_bytes=sum(size_bytes for _, size_bytes in held),
            budget_bytes=self._options.budget_bytes,
            evictions=turned.evicted,
            expired=self._expired + turned.expired,
            corrupt=self._corrupt + turned.corrupt,
            errors=self._errors,
        )

    def close(self) -> None:
        """See CacheTier."""
        with suppress(CacheUnavailableError):
            self._save_slides()
        self._store.close()

    def _note(self, namespace: str, read: RowsRead, now: float) -> None:
        self._ageing.touches.mark((rowid for rowid, _ in read.hits), int(now))
        self._expired += read.expired
        if self._ageing.slides:
            self._slides.note(namespace, read.hits, now)
        if read.corrupt:
            self._corrupt += len(read.corrupt)
            with suppress(CacheUnavailableError):  # a full disk keeps them until later
                self._writer.forget(namespace, read.corrupt)

    def _save_slides(self) -> None:
        for namespace, rowids in self._slides.take().items():
            self._writer.redate(namespace, rowids)
