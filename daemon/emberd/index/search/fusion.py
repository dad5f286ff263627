"""Reciprocal rank fusion: one ranking out of several, by ranks alone.

Cormack, Clarke and Buettcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank
Learning Methods", SIGIR 2009.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["fuse"]

_K = 60  # the constant of the paper


def fuse(rankings: Sequence[Sequence[int]]) -> list[tuple[int, float]]:
    """`(label, score)` best first: the sum of 1 / (60 + rank) over the rankings, ranks from 1.

    Ties go to the smaller label.
    """
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, label in enumerate(ranking, 1):
            scores[label] = scores.get(label, 0.0) + 1.0 / (_K + rank)
    return sorted(scores.items(), key=lambda each: (-each[1], each[0]))
