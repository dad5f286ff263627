"""The memory tier: texts of a key space to values, without hashing a text twice.

Owned by one thread. A hit is one C-speed `map` over a dict and one set update a batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import compress, repeat

from emberd.cache.segment import Segment, Shelf
from emberd.records.keys import KeySpace
from emberd.wire.snapshot import TierStats

__all__ = ["MemoryTier"]


class MemoryTier:
    """Bounded in bytes, as a whole and by namespace.

    A namespace with a budget of its own has its own segment; the others share one, which gets what
    the whole budget leaves. `ttl_s` of 0 means that nothing ages; `slides` counts the age from the
    last hit. Expired values are misses; their room comes back with the next store or eviction.
    """

    name = "memory"

    def __init__(
        self,
        budget_bytes: int,
        *,
        namespace_budgets: Mapping[str, int] | None = None,
        ttl_s: float = 0.0,
        slides: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._budget_bytes = budget_bytes
        self._ttl_s = ttl_s
        self._slides = slides
        self._clock = clock
        self._expired = 0
        self._shelves: dict[KeySpace, Shelf] = {}
        self._common = Segment(budget_bytes, self._retire)
        self._segments = {
            namespace: Segment(min(budget, budget_bytes), self._retire)
            for namespace, budget in (namespace_budgets or {}).items()
            if budget > 0
        }

    def lookup(self, space: KeySpace, texts: list[str]) -> tuple[list[bytes | None], int]:
        """One value or None a text, in order, and the number of hits."""
        shelf = self._shelves.get(space)
        if shelf is None:
            return [None] * len(texts), 0
        values: list[bytes | None] = list(map(shelf.values.get, texts))
        if self._ttl_s:
            self._expire(shelf, texts, values)
        if None not in values:
            shelf.visited.update(texts)
            return values, len(texts)
        hits = list(compress(texts, values))
        shelf.visited.update(hits)
        return values, len(hits)

    def peek(self, space: KeySpace, text: str) -> tuple[bytes | None, float | None]:
        """The value, unless it is too old, and when it was made, which only a TTL makes known; no
        use of the text."""
        shelf = self._shelves.get(space)
        if shelf is None or text not in shelf.values:
            return None, None
        born = shelf.born.get(text)
        is_old = self._ttl_s and born is not None and born <= self._clock() - self._ttl_s
        return (None, None) if is_old else (shelf.values[text], born)

    def store(
        self,
        space: KeySpace,
        texts: Sequence[str],
        values: Sequence[bytes],
        born: Sequence[float] | None = None,
    ) -> None:
        """Keep these values; `born` is when each was made, by the clock, where it is known."""
        if not self._budget_bytes:
            return
        shelf = self._shelves.get(space)
        if shelf is None:
            shelf = self._shelves[space] = Shelf(space)
        segment = self._segment_of(space.namespace)
        for text, value in zip(texts, values, strict=True):
            segment.put(shelf, text, value)
        if self._ttl_s:
            pairs = zip(texts, born or repeat(self._clock()), strict=False)
            shelf.born.update(pair for pair in pairs if pair[0] in shelf.values)
        segment.shrink(segment.budget_bytes)
        self._shrink_whole()
        if not shelf.values:
            self._retire(shelf)

    def clear(self, namespace: str | None = None) -> int:
        """Forget a namespace, or everything; returns the number of texts."""
        shelves = [
            shelf
            for space, shelf in self._shelves.items()
            if namespace is None or space.namespace == namespace
        ]
        by_segment: dict[Segment, set[Shelf]] = {}
        for shelf in shelves:
            by_segment.setdefault(self._segment_of(shelf.space.namespace), set()).add(shelf)
        return sum(segment.drop(group) for segment, group in by_segment.items())

    def stats(self) -> TierStats:
        """Entries, bytes, evictions; hits and misses are counted by the chain."""
        segments = self._all_segments()
        return TierStats(
            name=self.name,
            kind="memory",
            state="ok" if self._budget_bytes else "off",
            entries=sum(map(len, segments)),
            size_bytes=sum(segment.size_bytes for segment in segments),
            budget_bytes=self._budget_bytes,
            evictions=sum(segment.evictions for segment in segments),
            expired=self._expired,
        )

    def _expire(self, shelf: Shelf, texts: list[str], values: list[bytes | None]) -> None:
        now = self._clock()
        oldest = now - self._ttl_s
        for place, text in enumerate(texts):
            if values[place] is None:
                continue
            if shelf.born.get(text, now) <= oldest:
                values[place] = None
                self._expired += 1
            elif self._slides:
                shelf.born[text] = now

    def _shrink_whole(self) -> None:
        """Budgets of namespaces may add up to more than there is: the largest gives way."""
        segments = self._all_segments()
        excess = sum(segment.size_bytes for segment in segments) - self._budget_bytes
        while excess > 0:
            largest = max(segments, key=lambda segment: segment.size_bytes)
            before = largest.size_bytes
            largest.shrink(before - 1)
            excess -= before - largest.size_bytes

    def _segment_of(self, namespace: str) -> Segment:
        return self._segments.get(namespace, self._common)

    def _all_segments(self) -> list[Segment]:
        return [self._common, *self._segments.values()]

    def _retire(self, shelf: Shelf) -> None:
        self._shelves.pop(shelf.space, None)
