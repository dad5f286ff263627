"""How many at once: additive increase, multiplicative decrease, decided a round at a time."""

from __future__ import annotations

import statistics
from typing import Final

__all__ = ["CONGESTED", "AimdWindow"]

CONGESTED: Final = 1.75
"""Answers that take this many times the baseline have waited in a queue."""
# CONGESTED * _SLOWER is below 1: a cut empties the queue, so the baseline is seen again. In
# simulation 1 to 1.5 times the server's places result, and 92 to 100% of its capacity; with
# latencies as noisy as a lognormal of sigma 0.5, 83 to 100%.
_SLOWER: Final = 0.48
_REFUSED: Final = 0.7
_STARTING: Final = 1.5
_FIRST: Final = 2
_FEWEST_A_ROUND: Final = 16
# A cut that leaves this share of the delay has not emptied a queue of ours.
_NO_HELP: Final = 0.9


class AimdWindow:
    """A limit between `least` and `most` that follows a server's capacity.

    A round is as many answers as the limit allows at once. Its median latency, in baselines,
    decides: congested rounds cut the limit, others raise it by one where it was made use of (and
    by a half until the first cut). `age` counts the cuts; work that was let in before the last
    cut tells of the old limit and must not be given to `sample` or `refused`.
    """

    def __init__(self, least: int, most: int) -> None:
        self.limit = float(min(max(_FIRST, least), most))
        self.age = 0
        self._least = least
        self._most = most
        self._ratios: list[float] = []
        self._was_used = False
        self._is_starting = True
        self._congestion = 0.0

    @property
    def round_size(self) -> int:
        """Answers of a round."""
        return max(int(self.limit), _FEWEST_A_ROUND)

    def sample(self, ratio: float, in_flight: int) -> bool:
        """An answer came after `ratio` times the baseline, let in as one of `in_flight`.

        True where cuts do not help any more: the baseline is not what it was.
        """
        self._ratios.append(ratio)
        self._was_used = self._was_used or in_flight + 1 > self.limit
        return len(self._ratios) >= self.round_size and self._end_round()

    def refused(self) -> None:
        """The server said that it was too much."""
        self._cut(_REFUSED)

    def _end_round(self) -> bool:
        ratio = statistics.median_low(self._ratios)
        was_used = self._was_used
        self._ratios, self._was_used = [], False
        if ratio <= CONGESTED:
            self._congestion = 0.0
            if was_used:
                raised = self.limit * _STARTING if self._is_starting else self.limit + 1
                self.limit = min(raised, self._most)
            return False
        is_vain = bool(self._congestion) and ratio > self._congestion * _NO_HELP
        self._cut(_SLOWER)
        self._congestion = 0.0 if is_vain else ratio
        return is_vain

    def _cut(self, factor: float) -> None:
        self.limit = max(self.limit * factor, self._least)
        self.age += 1
        self._ratios, self._was_used = [], False
        self._is_starting = False
