from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from emberd.telemetry import Histogram

durations = st.lists(st.floats(min_value=2e-6, max_value=100), min_size=1, max_size=200)


@given(durations)
def test_every_percentile_is_within_five_percent_of_the_true_one(values: list[float]) -> None:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    latency = histogram.take()
    ordered = sorted(values)
    for share, got in ((0.5, latency.p50_ms), (0.9, latency.p90_ms), (0.99, latency.p99_ms)):
        true_ms = ordered[math.ceil(len(ordered) * share) - 1] * 1e3
        assert abs(got - true_ms) <= 0.05 * true_ms
    assert latency.max_ms == ordered[-1] * 1e3
    assert latency.count == len(values)


@given(durations)
def test_percentiles_never_cross(values: list[float]) -> None:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    latency = histogram.take()
    assert latency.p50_ms <= latency.p90_ms <= latency.p99_ms <= latency.max_ms


def test_taking_starts_a_new_window() -> None:
    histogram = Histogram()
    histogram.record(0.5, count=3)
    assert histogram.take().count == 3
    assert histogram.take().count == 0
    assert histogram.take().max_ms == 0


def test_durations_off_the_scale_are_counted_at_its_ends() -> None:
    histogram = Histogram()
    for value in (0.0, -1.0, 1e9):
        histogram.record(value)
    latency = histogram.take()
    assert latency.count == 3
    assert latency.max_ms == 1e12
