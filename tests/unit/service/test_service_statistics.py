"""The texts of a window, each counted where it ended."""

from __future__ import annotations

from emberd.service.statistics import Statistics


def test_the_rates_of_a_window_are_those_of_its_stages() -> None:
    statistics = Statistics()
    counts = statistics.texts
    counts.received, counts.deduplicated, counts.hits = 20, 2, 12
    counts.computed, counts.failed = 4, 2
    found = statistics.take_texts(2.0, 0.5)
    rates = (found.received_per_s, found.deduplicated_per_s, found.hits_per_s)
    assert rates == (10, 1, 6)
    assert (found.computed_per_s, found.failed_per_s, found.per_s) == (2, 1, 10)
    assert (found.hit_ratio, found.saved_s) == (0.6, 6.0)
    counts.received += 5
    later = statistics.take_texts(1.0, 0.5)
    assert (later.received_per_s, later.deduplicated_per_s, later.received) == (5, 0, 25)
