"""Token buckets by key, as the generic cell rate algorithm keeps them: one number a bucket.

The number is the time at which the bucket is full again, so time passing costs nothing and an idle
key need not be kept (ITU-T I.371; the virtual scheduling form).
"""

from __future__ import annotations

import heapq
from typing import Final

__all__ = ["MOST_KEYS", "Buckets"]

MOST_KEYS: Final = 4_096
_FEWEST_TO_SWEEP: Final = 64
_ROUNDING_S: Final = 1e-9


class Buckets:
    """Buckets that hold `burst` units and gain `per_s` units a second; each key begins full.

    What is taken within any time of T seconds is at most `burst + per_s * T`. A cost above the
    burst is let in when the bucket is full, and the rest is owed: then the largest cost takes the
    place of the burst. `now` is in seconds and must not go back.
    """

    def __init__(self, per_s: float, burst: float) -> None:
        self.per_s = per_s
        self.burst = burst
        self._full_at: dict[str, float] = {}
        self._sweep_at = _FEWEST_TO_SWEEP

    def __len__(self) -> int:
        return len(self._full_at)

    def wait_s(self, key: str, cost: float, now: float) -> float:
        """Seconds until `cost` may be taken; 0 where that is now."""
        to_fill_s = self._full_at.get(key, now) - now
        wait_s = to_fill_s - (self.burst - min(cost, self.burst)) / self.per_s
        return wait_s if wait_s > _ROUNDING_S else 0.0

    def used_ratio(self, key: str, now: float) -> float:
        """Share of the burst that is used; above 1 where something is owed."""
        return max(self._full_at.get(key, now) - now, 0.0) * self.per_s / self.burst

    def take(self, key: str, cost: float, now: float) -> None:
        """Take `cost`, whether or not it is there."""
        self._full_at[key] = max(self._full_at.get(key, now), now) + cost / self.per_s
        if len(self._full_at) >= self._sweep_at:
            self._forget(now)

    def give_back(self, key: str, cost: float, now: float) -> None:
        """Undo a part of an earlier `take`; a negative cost takes more."""
        if cost < 0:
            self.take(key, -cost, now)
        elif key in self._full_at:
            self._full_at[key] -= cost / self.per_s

    def _forget(self, now: float) -> None:
        """Full buckets need no memory; of too many others, those that owe least are forgotten."""
        kept = {key: at for key, at in self._full_at.items() if at > now}
        if len(kept) >= MOST_KEYS:
            kept = dict(heapq.nlargest(MOST_KEYS // 2, kept.items(), key=lambda item: item[1]))
        self._full_at = kept
        self._sweep_at = min(max(_FEWEST_TO_SWEEP, 2 * len(kept)), MOST_KEYS)
