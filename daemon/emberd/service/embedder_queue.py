"""The texts that wait for a plugin's embedder: interactive before bulk, the oldest first."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from emberd.engine.text import Priority, Text, Truncate

__all__ = ["TextQueue"]

_Lane = tuple[Priority, str, Truncate]


class TextQueue:
    """A lane for each priority, model and truncation: what lies in one can share a call.

    A text whose future is None has nobody who waits for it and is passed over. No I/O, no clock.
    """

    def __init__(self) -> None:
        self._lanes: dict[_Lane, deque[Text]] = {}

    def put(self, texts: Iterable[Text]) -> None:
        """Add texts behind those of their lane."""
        for text in texts:
            request = text.request
            lane = (request.priority, request.model, request.truncate)
            self._lanes.setdefault(lane, deque()).append(text)

    def take(self, most: int, *, may_be_bulk: bool = True) -> list[Text]:
        """The texts of the next call, `most` of them at most; none where nothing waits."""
        for priority in ("interactive", "bulk") if may_be_bulk else ("interactive",):
            while lane := self._oldest(priority):
                if taken := self._take_from(lane, most):
                    return taken
        return []

    def forget_abandoned(self) -> None:
        """Let go of the texts that nobody waits for."""
        kept = {
            lane: deque(text for text in texts if text.future is not None)
            for lane, texts in self._lanes.items()
        }
        self._lanes = {lane: texts for lane, texts in kept.items() if texts}

    def drain(self) -> list[Text]:
        """Every text that waits; none is left."""
        lanes, self._lanes = self._lanes, {}
        return [text for texts in lanes.values() for text in texts]

    def _oldest(self, priority: str) -> _Lane | None:
        lanes = [lane for lane in self._lanes if lane[0] == priority]
        return min(lanes, key=lambda lane: self._lanes[lane][0].request.submitted_s, default=None)

    def _take_from(self, lane: _Lane, most: int) -> list[Text]:
        texts, taken = self._lanes[lane], list[Text]()
        while texts and len(taken) < most:
            text = texts.popleft()
            if text.future is not None:
                taken.append(text)
        if not texts:
            del self._lanes[lane]
        return taken
