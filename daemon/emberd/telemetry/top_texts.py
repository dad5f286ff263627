"""The texts that the cache answers most often: a few by count, in memory alone, where asked for.

Space-Saving (Metwally, Agrawal, El Abbadi, "Efficient Computation of Frequent and Top-k Elements in
Data Streams", ICDT 2005): a text that is not counted takes the place of the one with the fewest
hits and inherits its count, which is then the most that its own can be over.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from emberd.wire.insight import TopText, TopTexts

__all__ = ["SHOWN_CHARS", "TopTextCounts"]

SHOWN_CHARS: Final = 200
"""What is kept of a text."""
# More counters than texts to show: a text with over 1/(8 N) of the hits is always among them.
_COUNTERS_A_TEXT: Final = 8


@dataclass(slots=True)
class _Counter:
    shown: str
    characters: int
    hits: int
    over: int


@dataclass(slots=True)
class _Space:
    """The counters of one namespace. `heap` holds one entry a counter, with a count that it had."""

    since: float
    hits: int = 0
    counters: dict[int, _Counter] = field(default_factory=dict)
    heap: list[tuple[int, int]] = field(default_factory=list)


class TopTextCounts:
    """Counts hits by text and namespace; `kept` is at least 1. Owned by the event loop's thread.

    A namespace takes about 0.5 KB for each of its 8 x `kept` counters, and more where texts are
    not ASCII. 64 hits cost 12 us where all are counted, and 105 us where none is.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._most = kept * _COUNTERS_A_TEXT
        self._spaces: dict[str, _Space] = {}

    def count(self, namespace: str, texts: Iterable[str]) -> None:
        """Each of these was answered by the cache."""
        space = self._spaces.get(namespace)
        if space is None:
            space = self._spaces[namespace] = _Space(time.time())
        counters, count = space.counters, 0
        for count, text in enumerate(texts, start=1):  # noqa: B007 - the last one is the sum
            # Computed already where the memory tier was asked; whole texts are not held.
            ident = hash(text)
            counter = counters.get(ident)
            if counter is not None:
                counter.hits += 1
            else:
                self._add(space, ident, text)
        space.hits += count

    def top(self, namespace: str, limit: int) -> TopTexts:
        """The `limit` texts with the most hits, but never more than are kept."""
        space = self._spaces.get(namespace)
        if space is None:
            return TopTexts(namespace=namespace, kept=self._kept)
        best = heapq.nlargest(
            min(limit, self._kept),
            space.counters.values(),
            key=lambda each: (each.hits, -each.over, each.shown),
        )
        return TopTexts(
            namespace=namespace,
            kept=self._kept,
            since=space.since,
            hits=space.hits,
            texts=[
                TopText(text=each.shown, characters=each.characters, hits=each.hits, over=each.over)
                for each in best
            ],
        )

    def hits_of(self, namespace: str, text: str) -> int | None:
        """None for a text that has no counter."""
        space = self._spaces.get(namespace)
        counter = space.counters.get(hash(text)) if space is not None else None
        return None if counter is None else counter.hits

    def clear(self, namespace: str | None) -> None:
        """Forget the texts of a namespace, of all for None."""
        if namespace is None:
            self._spaces.clear()
        else:
            self._spaces.pop(namespace, None)

    def _add(self, space: _Space, ident: int, text: str) -> None:
        fewest = 0
        if len(space.counters) >= self._most:
            fewest = self._remove_fewest(space)
        space.counters[ident] = _Counter(text[:SHOWN_CHARS], len(text), fewest + 1, fewest)
        heapq.heappush(space.heap, (fewest + 1, ident))

    @staticmethod
    def _remove_fewest(space: _Space) -> int:
        """Make room; the count of what had the fewest. Counts in the heap are set right here."""
        while True:
            told, ident = space.heap[0]
            hits = space.counters[ident].hits
            if told == hits:
                heapq.heappop(space.heap)
                del space.counters[ident]
                return hits
            heapq.heapreplace(space.heap, (hits, ident))
