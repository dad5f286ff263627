from __future__ import annotations

import pytest

from emberd.telemetry.history import COLUMN_NAMES, History
from emberd.wire.snapshot import (
    DaemonStats,
    EngineStats,
    Latency,
    RequestStats,
    Snapshot,
    TextStats,
)

START = 1_700_000_000.0


def snapshot(time: float, texts: float = 0.0, hits: float = 0.0, **figures: float) -> Snapshot:
    """Of a second with `texts` answered, `hits` of them from the cache."""
    p99_ms = figures.get("p99_ms")
    latency = Latency() if p99_ms is None else Latency(count=1, p50_ms=p99_ms / 2, p99_ms=p99_ms)
    return Snapshot(
        daemon=DaemonStats(
            version="1", pid=1, rss_bytes=1_000, loop_lag_ms=figures.get("loop_lag_ms", 0.0)
        ),
        time=time,
        texts=TextStats(per_s=texts, hits_per_s=hits, hit_ratio=hits / texts if texts else 0.0),
        requests=RequestStats(latency=latency),
        engine=EngineStats(queue_texts=int(figures.get("queue_texts", 0)), busy_ratio=0.5),
    )


def sampled(count: int, **figures: float) -> History:
    """A history of `count` seconds; the nth has n texts, half of them hits."""
    history = History()
    for second in range(count):
        history.add(snapshot(START + second, second, second / 2, **figures))
    return history


def test_before_the_first_sample_there_are_no_columns() -> None:
    found = History().columns(60)
    assert found.end == 0
    assert found.columns == {name: [] for name in COLUMN_NAMES}


def test_a_column_a_second_oldest_first_ends_with_the_newest_sample() -> None:
    found = sampled(4).columns(300)
    assert (found.step_s, found.end) == (1, START + 3)
    assert found.columns["texts_per_s"] == [0, 1, 2, 3]
    assert found.columns["rss_bytes"] == [1_000] * 4


def test_a_shorter_window_has_the_newest_columns() -> None:
    assert sampled(100).columns(5).columns["texts_per_s"] == [95, 96, 97, 98, 99]


def test_seconds_without_a_sample_are_gaps() -> None:
    history = sampled(2)
    history.add(snapshot(START + 5, 5))
    columns = history.columns(60).columns
    assert columns["texts_per_s"] == [0, 1, None, None, None, 5]
    assert columns["rss_bytes"] == [1_000, 1_000, None, None, None, 1_000]


def test_ticks_that_come_a_little_late_leave_no_gap() -> None:
    history = History()
    for tick in range(2_000):
        history.add(snapshot(START + tick * 1.004, 1))
    assert None not in history.columns(300).columns["texts_per_s"]


def test_ratios_and_latencies_of_nothing_are_gaps_and_not_zero() -> None:
    columns = sampled(1).columns(60).columns
    assert (columns["hit_ratio"], columns["p50_ms"], columns["p99_ms"]) == ([None], [None], [None])
    assert columns["texts_per_s"] == [0]


def test_five_minutes_are_kept_by_the_second() -> None:
    found = sampled(1_000).columns(300)
    assert found.columns["texts_per_s"] == list(range(700, 1_000))


def test_beyond_five_minutes_a_column_is_the_mean_of_ten_seconds() -> None:
    found = sampled(999).columns(301)
    assert (found.step_s, found.end) == (10, START + 998)
    assert len(found.columns["texts_per_s"]) == 31
    # Slots count from 1, so that the first column has nine samples and the newest ten.
    assert found.columns["texts_per_s"][-2:] == [pytest.approx(983.5), pytest.approx(993.5)]


def test_what_a_mean_would_hide_is_kept_as_a_peak() -> None:
    history = sampled(40)
    history.add(snapshot(START + 40, 1, p99_ms=900, loop_lag_ms=80, queue_texts=7))
    history.add(snapshot(START + 41, 1, p99_ms=10))
    columns = history.columns(3_600).columns
    assert [columns[name][-1] for name in ("p99_ms", "loop_lag_ms", "queue_texts")] == [900, 80, 7]
    assert columns["p50_ms"][-1] == pytest.approx((450 + 5) / 2)


def test_a_long_columns_hit_ratio_is_that_of_all_its_texts() -> None:
    history = History()
    for second, (texts, hits) in enumerate([(0, 0), (10, 10), (90, 0)]):
        history.add(snapshot(START + second, texts, hits))
    assert history.columns(3_600).columns["hit_ratio"] == [pytest.approx(0.1)]


def test_a_long_gap_is_a_gap_in_the_long_columns_too() -> None:
    history = sampled(19)
    history.add(snapshot(START + 59, 7))
    texts = history.columns(3_600).columns["texts_per_s"]
    assert texts[2:] == [None, None, None, None, 7]
    assert None not in texts[:2]


def test_an_hour_is_at_most_360_columns() -> None:
    columns = sampled(5_000).columns(3_600).columns
    assert {len(column) for column in columns.values()} == {360}


@pytest.mark.parametrize("jump_s", [-3_600.0, -10.0, 1e6])
def test_a_clock_that_jumps_starts_the_history_anew(jump_s: float) -> None:
    history = sampled(100)
    history.add(snapshot(START + 99 + jump_s, 7))
    for window_s in (300, 3_600):
        found = history.columns(window_s)
        assert (found.columns["texts_per_s"], found.end) == ([7], START + 99 + jump_s)
