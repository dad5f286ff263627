"""How a search is best answered: a walk through the graph, or every candidate scored.

A filter is a walk that fetches more than is asked for, so that enough of it passes; hnswlib's own
filter callback costs 4 us a vector looked at and lost to one of the two at every share measured
(100,000 x 384: at 1% 28 ms a query against 0.5 ms, at 25% 1.2 ms against 0.4 ms).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Plan", "default_ef", "plan_search"]

# Microseconds at 384 dimensions; only their proportions matter.
_WALK = 3.7  # for each candidate of a walk: ef of them
_GATHER = 0.4  # for each vector that is fetched to be scored, once a search
_SCORE = 0.015  # for each vector and query
_SCORE_FIRST = 0.08  # the same for the first query: memory sets the pace

_FETCH_MARGIN = 2.0
# The far end of a walk is less sure than the near end, the more so the fewer pass: recall@10 of
# 0.97 and more takes an ef of 1.5 times what is fetched where 30% pass, 2 to 4 at 10%, 4 at 5%.
_EF_MARGIN, _EF_MARGIN_SHARE, _MOST_EF_MARGIN = 1.5, 0.5, 10.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Walk the graph for `fetch` results a query with this `ef`; `fetch` 0 scores everything."""

    fetch: int = 0
    ef: int = 0

    @property
    def is_exact(self) -> bool:
        return self.fetch == 0


def default_ef(k: int) -> int:
    """Candidates of a walk for recall@k of 0.99 and more on clustered vectors."""
    return max(100, k + k // 2)


def plan_search(
    *, queries: int, k: int, ef: int | None, live: int, allowed: int | None, threads: int
) -> Plan:
    """The cheaper way to the best `k` of the `live` vectors, of which `allowed` (None: all) may
    be returned. All are 1 or more, and `k` no more than may be returned."""
    candidates = live if allowed is None else allowed
    fetch, wide = k, max(k, ef or default_ef(k))
    if allowed is not None:
        share = allowed / live
        fetch = min(live, math.ceil(_FETCH_MARGIN * k / share))
        margin = min(max(_EF_MARGIN, _EF_MARGIN_SHARE / share), _MOST_EF_MARGIN)
        wide = max(wide, math.ceil(margin * fetch))
    walk = queries * wide * _WALK / (threads if queries > 4 * threads else 1)
    exact = candidates * (_GATHER + _SCORE_FIRST + _SCORE * (queries - 1))
    return Plan() if exact <= walk else Plan(fetch, wide)
