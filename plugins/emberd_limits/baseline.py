"""How long an answer takes where nothing waits, learnt from the answers themselves."""

from __future__ import annotations

import statistics
from collections import deque

__all__ = ["Baselines"]

_ROUNDS = 64
_RANK = 10


class Baselines:
    """Latencies without a queue, for demands of about the same size, in seconds.

    Of the medians of the last 64 rounds it is the tenth percentile: the limiter's cuts keep some
    rounds free of a queue, and the minimum of noise would be too low. Sizes are put together by
    powers of four, as a hundred texts take longer than one.
    """

    def __init__(self) -> None:
        self._samples: dict[int, list[float]] = {}
        self._medians: dict[int, deque[float]] = {}

    def of(self, tokens: int) -> float | None:
        """The baseline of a size; None until enough was seen."""
        medians = self._medians.get(_class_of(tokens))
        return sorted(medians)[len(medians) // _RANK] if medians else None

    def add(self, tokens: int, seconds: float, round_size: int) -> None:
        """An answer to a demand of that size came."""
        size = _class_of(tokens)
        samples = self._samples.setdefault(size, [])
        samples.append(seconds)
        if len(samples) >= round_size:
            self._medians.setdefault(size, deque(maxlen=_ROUNDS)).append(
                statistics.median_low(samples)
            )
            samples.clear()

    def forget(self) -> None:
        """Learn anew."""
        self._samples.clear()
        self._medians.clear()


def _class_of(tokens: int) -> int:
    return tokens.bit_length() // 2
