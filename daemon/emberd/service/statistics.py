"""Counts of what the service did: totals that only grow, and the window since the last snapshot."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from emberd.telemetry import Histogram
from emberd.wire.snapshot import MethodStats, RequestStats, TextStats

__all__ = ["MethodCounts", "Statistics"]


@dataclass(slots=True)
class MethodCounts:
    requests: int = 0
    failed: int = 0
    latency: Histogram = field(default_factory=Histogram)


@dataclass(slots=True)
class TextCounts:
    received: int = 0
    deduplicated: int = 0
    hits: int = 0
    computed: int = 0
    failed: int = 0
    truncated: int = 0

    def minus(self, other: TextCounts) -> TextCounts:
        return TextCounts(*(getattr(self, name) - getattr(other, name) for name in self.__slots__))


class Statistics:
    """Owned by the event loop's thread; recording one request costs about a microsecond."""

    def __init__(self) -> None:
        self.methods: defaultdict[str, MethodCounts] = defaultdict(MethodCounts)
        self.texts = TextCounts()
        self.in_flight = 0
        self._texts_before = TextCounts()
        self._requests_before = 0

    def record(self, method: str, seconds: float, *, failed: bool) -> None:
        """Count one answered request."""
        counts = self.methods[method]
        counts.requests += 1
        counts.failed += failed
        counts.latency.record(seconds)

    def take_requests(self, window_s: float) -> RequestStats:
        """The requests' part of a snapshot; starts a new window."""
        total = sum(counts.requests for counts in self.methods.values())
        per_s = (total - self._requests_before) / window_s
        self._requests_before = total
        methods = {
            name: MethodStats(
                requests=counts.requests, failed=counts.failed, latency=counts.latency.take()
            )
            for name, counts in sorted(self.methods.items())
        }
        embed = methods.get("embed", MethodStats())
        return RequestStats(
            total=total,
            failed=sum(counts.failed for counts in self.methods.values()),
            in_flight=self.in_flight,
            per_s=per_s,
            latency=embed.latency,
            methods=methods,
        )

    def take_texts(self, window_s: float, mean_cost_s: float) -> TextStats:
        """The texts' part of a snapshot; `mean_cost_s` is the device time of one text."""
        now = self.texts
        window = now.minus(self._texts_before)
        self._texts_before = now.minus(TextCounts())
        answered = window.hits + window.deduplicated + window.computed + window.failed
        return TextStats(
            received=now.received,
            deduplicated=now.deduplicated,
            hits=now.hits,
            computed=now.computed,
            failed=now.failed,
            truncated=now.truncated,
            per_s=answered / window_s,
            hits_per_s=window.hits / window_s,
            computed_per_s=window.computed / window_s,
            received_per_s=window.received / window_s,
            deduplicated_per_s=window.deduplicated / window_s,
            failed_per_s=window.failed / window_s,
            hit_ratio=window.hits / answered if answered else 0.0,
            saved_s=now.hits * mean_cost_s,
        )
