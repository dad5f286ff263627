"""A log-bucketed histogram of durations: cheap to record, good to 5% at any percentile."""

from __future__ import annotations

import math

from emberd.wire.snapshot import Latency

__all__ = ["Histogram"]

_BUCKETS_PER_OCTAVE = 8  # 2 ** (1 / 8) = 1.09, so half a bucket is under 5%
_SMALLEST_S = 1e-6
_BUCKETS = 8 * 32  # 1 us to 4,295 s


class Histogram:
    """Counts of durations in seconds. One writer thread, or writers that hold the GIL's one
    bytecode: a lost count under a race is accepted, a wrong bucket is not possible."""

    __slots__ = ("counts", "longest_s", "total_s")

    def __init__(self) -> None:
        self.counts = [0] * _BUCKETS
        self.longest_s = 0.0
        self.total_s = 0.0

    def record(self, seconds: float, count: int = 1) -> None:
        """Count `count` durations of `seconds` each."""
        bucket = 0
        if seconds > _SMALLEST_S:
            bucket = int(math.log2(seconds / _SMALLEST_S) * _BUCKETS_PER_OCTAVE)
            if bucket >= _BUCKETS:
                bucket = _BUCKETS - 1
        self.counts[bucket] += count
        self.total_s += seconds * count
        self.longest_s = max(self.longest_s, seconds)

    def take(self) -> Latency:
        """The percentiles so far, and start anew: one call a window."""
        counts, longest_s = self.counts, self.longest_s
        self.counts, self.longest_s, self.total_s = [0] * _BUCKETS, 0.0, 0.0
        return latency_of(counts, longest_s)


def latency_of(counts: list[int], longest_s: float) -> Latency:
    """The percentiles of bucket counts; each is its bucket's geometric middle, in ms."""
    total = sum(counts)
    if not total:
        return Latency()
    found = [_percentile_s(counts, total, share, longest_s) * 1e3 for share in (0.5, 0.9, 0.99)]
    return Latency(
        count=total, p50_ms=found[0], p90_ms=found[1], p99_ms=found[2], max_ms=longest_s * 1e3
    )


def _percentile_s(counts: list[int], total: int, share: float, longest_s: float) -> float:
    rank = math.ceil(total * share)
    seen = 0
    for bucket, count in enumerate(counts):
        seen += count
        if seen >= rank:
            middle = _SMALLEST_S * 2 ** ((bucket + 0.5) / _BUCKETS_PER_OCTAVE)
            return min(middle, longest_s)
    return longest_s
