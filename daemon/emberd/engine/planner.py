"""The batch plan: which waiting texts run together next. Pure: no clock, no thread, no array.

Texts wait in lanes (one a model and priority), each sorted into buckets by exact token length, so
that a plan costs what it takes out and never a sort of the queue.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf

from emberd.engine.text import Batch, Priority, Text

__all__ = ["PlanRules", "Planner"]


@dataclass(frozen=True, slots=True)
class PlanRules:
    """How batches are cut. The defaults are those of a CPU."""

    overhead_tokens: int = 12
    """What a batch costs before its first token, in tokens (2 ms at 6,000 tokens/s on a CPU).
    Another length joins a batch only where that pads it by no more."""
    share_tokens: int = 64
    """Idle callers share out a short queue in batches of at least this many tokens."""
    bulk_turn: int = 8
    """While bulk work waits, every so many batches one is bulk, however much else arrives."""


class Lane:
    """The waiting texts of one model and priority, in order of arrival and by length."""

    __slots__ = ("_arrivals", "_buckets", "_lengths", "tokens")

    def __init__(self) -> None:
        # Linked lists: the head, and any text that is given up, leave in constant time. (A dict
        # would scan its holes to find its head.)
        self._arrivals: OrderedDict[Text, None] = OrderedDict()
        self._buckets: dict[int, OrderedDict[Text, None]] = {}
        self._lengths: list[int] = []
        self.tokens = 0

    def __len__(self) -> int:
        return len(self._arrivals)

    def __iter__(self) -> Iterator[Text]:
        return iter(self._arrivals)

    def __contains__(self, text: Text) -> bool:
        return text in self._arrivals

    def add(self, text: Text) -> None:
        length = text.length
        bucket = self._buckets.get(length)
        if bucket is None:
            bucket = self._buckets[length] = OrderedDict()
            insort(self._lengths, length)
        bucket[text] = None
        self._arrivals[text] = None
        self.tokens += length

    def remove(self, text: Text) -> None:
        bucket = self._buckets[text.length]
        del bucket[text]
        self._leave(text, bucket)

    def take(self, budget: int, rules: PlanRules, *, equal_only: bool) -> list[Text]:
        """The oldest text and others near its length, within `budget` computed tokens.

        A text that is over the budget by itself comes alone.
        """
        width = next(iter(self._arrivals)).length
        rows = self._pop(width, max(1, budget // width))
        if not equal_only:
            self._widen(rows, width, budget, rules.overhead_tokens)
        return rows

    def _widen(self, rows: list[Text], width: int, budget: int, overhead: int) -> None:
        """Take in whole buckets of the nearest other lengths: each saves a batch of its own."""
        shortest = width
        while True:
            near = self._neighbours(shortest, width)
            joining = [n for n in near if self._pads(n, len(rows), width, budget) <= overhead]
            if not joining:
                return
            rows += self._pop(joining[0], len(self._buckets[joining[0]]))
            width, shortest = max(width, joining[0]), min(shortest, joining[0])

    def _neighbours(self, shortest: int, width: int) -> list[int]:
        """The waiting lengths next below and above those in hand, the nearer first."""
        below = bisect_left(self._lengths, shortest) - 1
        above = bisect_left(self._lengths, width + 1)
        found = [self._lengths[below]] if below >= 0 else []
        found += self._lengths[above : above + 1]
        return sorted(found, key=lambda length: max(shortest - length, length - width))

    def _pads(self, length: int, rows: int, width: int, budget: int) -> float:
        """Tokens of padding that this bucket would add; infinite where it does not fit."""
        joining = len(self._buckets[length])
        if (rows + joining) * max(width, length) > budget:
            return inf
        return joining * (width - length) if length < width else rows * (length - width)

    def _pop(self, length: int, most: int) -> list[Text]:
        """Up to `most` texts of exactly this length, oldest first."""
        bucket = self._buckets[length]
        taken = [bucket.popitem(last=False)[0] for _ in range(min(most, len(bucket)))]
        for text in taken:
            self._leave(text, bucket)
        return taken

    def _leave(self, text: Text, bucket: OrderedDict[Text, None]) -> None:
        del self._arrivals[text]
        self.tokens -= text.length
        if not bucket and self._buckets.pop(text.length, None) is not None:
            del self._lengths[bisect_left(self._lengths, text.length)]


class Planner:
    """All waiting texts. The oldest of its priority is in the next batch, always; interactive
    texts go ahead of bulk ones, except that bulk has its turn every `bulk_turn` batches."""

    def __init__(self, rules: PlanRules | None = None) -> None:
        self.rules = rules or PlanRules()
        self._lanes: dict[tuple[Priority, str], Lane] = {}
        self._arrivals = 0
        self._since_bulk = 0

    @property
    def texts(self) -> int:
        return sum(len(lane) for lane in self._lanes.values())

    @property
    def tokens(self) -> int:
        return sum(lane.tokens for lane in self._lanes.values())

    def oldest_s(self) -> float | None:
        """When the text that has waited longest was submitted; None when none waits."""
        heads = [next(iter(lane)) for lane in self._lanes.values() if lane]
        return min((head.request.submitted_s for head in heads), default=None)

    def add(self, text: Text) -> None:
        """Queue a tokenised text."""
        self._arrivals += 1
        text.arrival = self._arrivals
        self._lanes.setdefault((text.request.priority, text.request.model), Lane()).add(text)

    def discard(self, text: Text) -> None:
        """Forget a text, if it waits."""
        lane = self._lanes.get((text.request.priority, text.request.model))
        if lane is not None and text in lane:
            lane.remove(text)

    def drop(self, model: str | None = None) -> list[Text]:
        """Forget every text of a model, or of all; returns them."""
        keys = [key for key in self._lanes if model in (None, key[1])]
        return [text for key in keys for text in self._lanes.pop(key)]

    def plan(
        self, budget_of: Callable[[str], tuple[int, bool]], idle_callers: int = 1
    ) -> Batch | None:
        """The next batch, its texts taken from the queue; None when nothing waits.

        `budget_of(model)` is its token budget and whether it can take equal lengths only.
        """
        lane = self._next_lane()
        if lane is None:
            return None
        budget, equal_only = budget_of(next(iter(lane)).request.model)
        share = max(self.rules.share_tokens, -(-lane.tokens // max(1, idle_callers)))
        rows = lane.take(min(budget, share), self.rules, equal_only=equal_only)
        return Batch(rows, budget)

    def _next_lane(self) -> Lane | None:
        interactive = self._oldest_lane("interactive")
        bulk = self._oldest_lane("bulk")
        if bulk is None or interactive is None:
            self._since_bulk = 0
            return interactive or bulk
        self._since_bulk += 1
        if self._since_bulk < self.rules.bulk_turn:
            return interactive
        self._since_bulk = 0
        return bulk

    def _oldest_lane(self, priority: Priority) -> Lane | None:
        """The lane of this priority, of whatever model, whose head arrived first."""
        waiting = [lane for key, lane in self._lanes.items() if key[0] == priority and lane]
        return min(waiting, key=lambda lane: next(iter(lane)).arrival, default=None)
