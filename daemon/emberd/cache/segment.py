"""One budget's worth of the memory tier: what is kept, and what has to go.

The policy is S3-FIFO with one bit of history (Yang, Zhang, Qiu, Yue and Vigfusson, "FIFO queues
are all you need for cache eviction", SOSP 2023). A new text waits in a small queue; only one that
is asked again before its turn comes moves to the main queue, where a text that was asked since its
last turn gets another. A scan so passes through the small queue and leaves the rest alone. Texts
that were thrown out lately are remembered by 32 bits of their hash: one that returns goes straight
to the main queue. A hit moves nothing, it only marks.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable
from sys import getsizeof

from emberd.records.keys import KeySpace

__all__ = ["ENTRY_BYTES", "SHELF_BYTES", "Segment", "Shelf", "entry_bytes"]

# Beside the text and the value themselves: a dict slot (up to 70 bytes just after it grew), the
# two queue places (16) and a place among the visited (up to 50). Measured with tracemalloc.
ENTRY_BYTES = 136
# An empty dict, an empty set and the space with its strings.
SHELF_BYTES = 1_024

# The small queue's share of the texts: one in ten.
_SMALL_SHARE = 10
# One larger text than this share of the budget would push out too many others.
_LARGEST_SHARE = 64


def entry_bytes(text: str, value: bytes) -> int:
    """What one entry costs, the interpreter's own overhead included."""
    return getsizeof(text) + getsizeof(value) + ENTRY_BYTES


class Shelf:
    """The texts of one key space. Only its segment changes it, save for marking the visited."""

    __slots__ = ("born", "space", "values", "visited")

    def __init__(self, space: KeySpace) -> None:
        self.space = space
        self.values: dict[str, bytes] = {}
        self.visited: set[str] = set()
        self.born: dict[str, float] = {}
        """When each text's vector was made; filled only where there is a TTL."""


class Segment:
    """Shelves that share a budget in bytes. `retire` is called with a shelf that fell empty."""

    def __init__(self, budget_bytes: int, retire: Callable[[Shelf], None]) -> None:
        self.budget_bytes = budget_bytes
        self.size_bytes = 0
        self.evictions = 0
        self._retire = retire
        self._small = _Queue()
        self._main = _Queue()
        self._ghosts = _Ghosts(budget_bytes // 1_024)

    def __len__(self) -> int:
        return len(self._small) + len(self._main)

    def put(self, shelf: Shelf, text: str, value: bytes) -> None:
        """Keep a value, or replace the one there. May take the segment over its budget."""
        held = shelf.values.get(text)
        if held is not None:
            shelf.values[text] = value
            self.size_bytes += getsizeof(value) - getsizeof(held)
            return
        size_bytes = entry_bytes(text, value)
        if size_bytes > self.budget_bytes // _LARGEST_SHARE:
            return
        if not shelf.values:
            self.size_bytes += SHELF_BYTES
        shelf.values[text] = value
        self.size_bytes += size_bytes
        queue = self._main if self._ghosts.knows(shelf, text) else self._small
        queue.append(shelf, text)

    def shrink(self, target_bytes: int) -> None:
        """Evict until the segment is within `target_bytes`."""
        while self.size_bytes > target_bytes and len(self):
            self._turn()

    def drop(self, shelves: set[Shelf]) -> int:
        """Forget whole shelves; returns the number of their texts."""
        count = sum(len(shelf.values) for shelf in shelves)
        for shelf in shelves:
            self.size_bytes -= sum(entry_bytes(*entry) for entry in shelf.values.items())
            self.size_bytes -= SHELF_BYTES if shelf.values else 0
            shelf.values.clear()
            shelf.visited.clear()
            shelf.born.clear()
            self._retire(shelf)
        self._small.drop(shelves)
        self._main.drop(shelves)
        return count

    def _turn(self) -> None:
        """The next text in turn stays, if it was asked since its last turn, or goes."""
        is_small = len(self._small) * _SMALL_SHARE >= len(self)
        shelf, text = (self._small if is_small else self._main).popleft()
        if text in shelf.visited:
            shelf.visited.discard(text)
            self._main.append(shelf, text)
            return
        self.size_bytes -= entry_bytes(text, shelf.values.pop(text))
        self.evictions += 1
        shelf.born.pop(text, None)
        if is_small:
            self._ghosts.remember(shelf, text)
        if not shelf.values:
            self.size_bytes -= SHELF_BYTES
            self._retire(shelf)


class _Queue:
    """First in, first out. Two deques instead of one of pairs: a pair costs 72 bytes, and the
    garbage collector would visit each."""

    __slots__ = ("_shelves", "_texts")

    def __init__(self) -> None:
        self._shelves: deque[Shelf] = deque()
        self._texts: deque[str] = deque()

    def __len__(self) -> int:
        return len(self._texts)

    def append(self, shelf: Shelf, text: str) -> None:
        self._shelves.append(shelf)
        self._texts.append(text)

    def popleft(self) -> tuple[Shelf, str]:
        return self._shelves.popleft(), self._texts.popleft()

    def drop(self, shelves: set[Shelf]) -> None:
        kept = [
            pair for pair in zip(self._shelves, self._texts, strict=True) if pair[0] not in shelves
        ]
        self._shelves = deque(shelf for shelf, _ in kept)
        self._texts = deque(text for _, text in kept)


class _Ghosts:
    """Hashes of the texts last thrown out: one 32-bit tag a place, later ones overwrite."""

    __slots__ = ("_mask", "_tags")

    def __init__(self, places: int) -> None:
        size = 1 << max(6, (places - 1).bit_length())
        self._mask = size - 1
        self._tags = array("I", bytes(4 * size))

    def remember(self, shelf: Shelf, text: str) -> None:
        place, tag = self._spot(shelf, text)
        self._tags[place] = tag

    def knows(self, shelf: Shelf, text: str) -> bool:
        place, tag = self._spot(shelf, text)
        return self._tags[place] == tag

    def _spot(self, shelf: Shelf, text: str) -> tuple[int, int]:
        mixed = hash(text) ^ hash(shelf.space)
        return mixed & self._mask, (mixed >> 32) & 0xFFFFFFFF | 1
