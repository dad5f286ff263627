"""The cache: memory first, then the tiers below it in order; what is found moves up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from emberd.cache.lower import Found, LowerTier, Notify, SharedFile, Sight
from emberd.cache.memory import MemoryTier
from emberd.config import CacheSettings
from emberd.errors import CacheUnavailableError
from emberd.plugins.contracts import CacheTier
from emberd.records.keys import KeySpace
from emberd.telemetry.histogram import Histogram
from emberd.wire.snapshot import CacheStats, NamespaceStats, TierStats, WriteBehindStats

__all__ = ["Cache"]

_MIB = 1 << 20


@dataclass(slots=True)
class _Counts:
    hits: int = 0
    misses: int = 0


def _ignore(_level: str, _event: str, _message: str) -> None:
    """Nobody asked to be told."""


class Cache:
    """Memory and the given tiers, in the order they are asked. Owned by one event loop.

    Nothing that a tier does fails a lookup or a store. The tiers belong to the cache from here on:
    `close` closes them. `notify` hears of tiers that trip and recover.
    """

    def __init__(
        self,
        settings: CacheSettings,
        tiers: Sequence[CacheTier],
        *,
        notify: Notify = _ignore,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._memory = MemoryTier(
            settings.memory_mib * _MIB,
            namespace_budgets={
                name: namespace.memory_mib * _MIB for name, namespace in settings.namespaces.items()
            },
            ttl_s=settings.ttl_s,
            slides=settings.sliding_ttl,
            clock=clock,
        )
        self._lower = [
            LowerTier(tier, commit_s=settings.commit_ms / 1_000, notify=notify) for tier in tiers
        ]
        self._namespaces: dict[str, _Counts] = {name: _Counts() for name in settings.namespaces}
        self._memory_hits = self._memory_misses = 0
        self._memory_lookups = Histogram()
        self._is_closed = False

    async def start(self) -> None:
        """Start the writers."""
        await asyncio.gather(*(tier.start() for tier in self._lower))

    async def close(self) -> None:
        """Write what is queued and close the tiers. A second call does nothing."""
        if not self._is_closed:
            self._is_closed = True
            await asyncio.gather(*(tier.close() for tier in self._lower))

    def lookup_memory(self, space: KeySpace, texts: list[str]) -> tuple[list[bytes | None], int]:
        """One value or None a text, and the number of hits; quick enough for a reader's callback:
        3 us for 64 hits."""
        started = time.perf_counter()
        values, hits = self._memory.lookup(space, texts)
        misses = len(texts) - hits
        self._memory_hits += hits
        self._memory_misses += misses
        counts = self._counts_of(space.namespace)
        counts.hits += hits
        if not self._lower:
            counts.misses += misses
        self._memory_lookups.record(time.perf_counter() - started)
        return values, hits

    async def lookup_tiers(
        self,
        space: KeySpace,
        texts: Sequence[str],
        keys: Sequence[bytes],
        *,
        value_size: int,
        timings: dict[str, float] | None = None,
    ) -> tuple[list[bytes | None], dict[str, int]]:
        """Ask the tiers below memory for texts that memory missed.

        Returns one value or None a text, and the hits by tier. A value of another length than
        `value_size` is a miss. Hits move to memory and to the tiers above the one that had them.
        `timings` gets the seconds that each tier took.
        """
        values: list[bytes | None] = [None] * len(texts)
        hits: dict[str, int] = {}
        missing = list(range(len(texts)))
        for depth, tier in enumerate(self._lower):
            if not missing:
                break
            started = time.perf_counter()
            try:
                asked = [keys[at] for at in missing]
                found = await tier.lookup(space.namespace, asked, value_size)
            finally:
                if timings is not None:
                    timings[tier.name] = time.perf_counter() - started
            places = [place for place, value in enumerate(found.values) if value is not None]
            if not places:
                continue
            hits[tier.name] = len(places)
            at = [missing[place] for place in places]
            for place, index in zip(places, at, strict=True):
                values[index] = found.values[place]
            self._promote(space, texts, keys, values, at, _dates(found, places), depth)
            missing = [index for index in missing if values[index] is None]
        counts = self._counts_of(space.namespace)
        counts.hits += len(texts) - len(missing)
        counts.misses += len(missing) if self._lower else 0
        return values, hits

    def store(
        self,
        space: KeySpace,
        texts: Sequence[str],
        keys: Sequence[bytes],
        values: Sequence[bytes],
    ) -> None:
        """Keep fresh values: in memory now, in every lower tier soon."""
        self._memory.store(space, texts, values)
        items = list(zip(keys, values, strict=True))
        for tier in self._lower:
            tier.offer(space.namespace, items)

    async def peek(
        self, space: KeySpace, text: str, key: bytes, *, value_size: int
    ) -> dict[str, Sight]:
        """What each tier has of a text, in the order they are asked; no hit is counted, nothing
        moves up."""
        below = await asyncio.gather(
            *(tier.peek(space.namespace, key, value_size) for tier in self._lower)
        )
        names = [tier.name for tier in self._lower]
        sights = {self._memory.name: Sight(*self._memory.peek(space, text))}
        return sights | dict(zip(names, below, strict=True))

    def mapping(self) -> SharedFile | None:
        """The file that others of this user may read themselves, where a tier has one open."""
        return next((found for tier in self._lower if (found := tier.mapping())), None)

    def note_direct(self, namespace: str, hits: int, rowids: Sequence[int]) -> None:
        """Count hits that others had in that file, and the use of these rows."""
        for tier in self._lower:
            if tier.mapping() is not None:
                self._counts_of(namespace).hits += hits
                tier.note_direct(hits, rowids)
                return

    async def clear(self, namespace: str | None) -> dict[str, int]:
        """Forget a namespace, or everything (None); records removed by tier.

        Raises CacheUnavailableError, after all tiers were asked, where one could not do it.
        """
        removed = {self._memory.name: self._memory.clear(namespace)}
        results = await asyncio.gather(
            *(tier.clear(namespace) for tier in self._lower), return_exceptions=True
        )
        for tier, result in zip(self._lower, results, strict=True):
            if isinstance(result, BaseException):
                raise CacheUnavailableError(
                    f"The {tier.name} tier could not be cleared: {result}. Try again.",
                    details={"tier": tier.name, "removed": removed},
                ) from result
            removed[tier.name] = result
        return removed

    async def flush(self) -> None:
        """Return when everything stored so far has been handed to every tier."""
        if not self._is_closed:
            await asyncio.gather(*(tier.flush() for tier in self._lower))

    def stats(self) -> CacheStats:
        """Figures for the snapshot; the latencies are of the time since the last call."""
        tiers = [self._memory_stats(), *(tier.stats() for tier in self._lower)]
        writes = [tier.write_stats() for tier in self._lower]
        for tier in self._lower:
            tier.refresh_soon()
        return CacheStats(
            tiers=tiers,
            write_behind=WriteBehindStats(
                queued=sum(each.queued for each in writes),
                written=sum(each.written for each in writes),
                dropped=sum(each.dropped for each in writes),
            ),
            namespaces=self._namespace_stats(),
        )

    def _promote(
        self,
        space: KeySpace,
        texts: Sequence[str],
        keys: Sequence[bytes],
        values: Sequence[bytes | None],
        at: Sequence[int],
        born: Sequence[float] | None,
        depth: int,
    ) -> None:
        found = [value for index in at if (value := values[index]) is not None]
        self._memory.store(space, [texts[index] for index in at], found, born)
        items = [(keys[index], value) for index, value in zip(at, found, strict=True)]
        for tier in self._lower[:depth]:
            tier.offer(space.namespace, items)

    def _counts_of(self, namespace: str) -> _Counts:
        counts = self._namespaces.get(namespace)
        if counts is None:
            counts = self._namespaces[namespace] = _Counts()
        return counts

    def _memory_stats(self) -> TierStats:
        return msgspec.structs.replace(
            self._memory.stats(),
            hits=self._memory_hits,
            misses=self._memory_misses,
            lookup=self._memory_lookups.take(),
        )

    def _namespace_stats(self) -> list[NamespaceStats]:
        held = next((tier.tenants for tier in self._lower if tier.tenants is not None), {})
        stats = []
        for name in dict.fromkeys([*self._namespaces, *held]):
            counts, (entries, size_bytes) = self._counts_of(name), held.get(name, (0, 0))
            stats.append(
                NamespaceStats(
                    name=name,
                    hits=counts.hits,
                    misses=counts.misses,
                    entries=entries,
                    size_bytes=size_bytes,
                )
            )
        return stats


def _dates(found: Found, places: Sequence[int]) -> list[float] | None:
    return None if found.born is None else [found.born[place] for place in places]
