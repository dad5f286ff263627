"""Taking turns: alternatives run A B A B ..., so that what disturbs the machine disturbs both."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from bench.figures import percentile

__all__ = ["Latencies", "interleaved", "latencies", "summed_up", "timed"]

T = TypeVar("T")
# A runtime's idle threads spin for a while after their work; they must not run into the next turn.
_PAUSE_S = 0.05

Latencies = tuple[float, float]
"""Median and 99th percentile, in seconds."""


def interleaved(
    rounds: int, *alternatives: Callable[[], T], warm_up: int = 1, pause_s: float = _PAUSE_S
) -> list[list[T]]:
    """What each alternative returned, round by round; the warm-up rounds are left out."""
    samples: list[list[T]] = [[] for _ in alternatives]
    for turn in range(warm_up + rounds):
        for taken, alternative in zip(samples, alternatives, strict=True):
            time.sleep(pause_s)
            found = alternative()
            if turn >= warm_up:
                taken.append(found)
    return samples


def timed(work: Callable[[], object], repeats: int = 1) -> Callable[[], float]:
    """A function that runs `work` so many times and returns the seconds of one."""

    def take() -> float:
        started = time.perf_counter()
        for _ in range(repeats):
            work()
        return (time.perf_counter() - started) / repeats

    return take


def latencies(calls: Sequence[Callable[[], object]]) -> Latencies:
    """Make the calls one after another; the median and the 99th percentile of their times."""
    seconds = []
    for call in calls:
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return summed_up(seconds)


def summed_up(seconds: Sequence[float]) -> Latencies:
    """The median and the 99th percentile of times that were taken."""
    return percentile(seconds, 0.5), percentile(seconds, 0.99)
