from __future__ import annotations

import msgspec
import pytest
from dashboard_support import SNAPSHOTS
from hypothesis import given
from hypothesis import strategies as st

from emberd.wire.snapshot import CacheStats, Latency, RequestStats, Snapshot, TextStats, TierStats
from emberd_tui.history import History


def snapshot(
    hits: float = 0.0,
    computed: float = 0.0,
    p99: float | None = None,
    tier: tuple[int, int] = (0, 0),
) -> Snapshot:
    latency = Latency() if p99 is None else Latency(count=1, p50_ms=p99 / 2, p99_ms=p99)
    return msgspec.structs.replace(
        SNAPSHOTS[0],
        texts=TextStats(hits_per_s=hits, computed_per_s=computed),
        requests=RequestStats(latency=latency),
        cache=CacheStats(
            tiers=[TierStats(name="memory", kind="clock", hits=tier[0], misses=tier[1])]
        ),
    )


def history_of(*rates: float | None, start: float = 100.0) -> History:
    """A sample a second; None is a second without a connection."""
    history = History()
    for index, hits in enumerate(rates):
        if hits is None:
            history.mark_gap()
        else:
            history.add(start + index, snapshot(hits))
    return history


def test_a_window_has_one_column_a_sample_when_they_match() -> None:
    window = history_of(1, 2, 3, 4).window(103.0, 4.0, 4)
    assert window.hits == [1, 2, 3, 4]
    assert window.gaps == [False] * 4


def test_a_sample_fills_all_the_columns_of_its_time() -> None:
    assert history_of(1, 2).window(101.0, 2.0, 6).hits == [1, 1, 1, 2, 2, 2]


def test_columns_of_several_samples_hold_their_mean() -> None:
    # Columns lie on a grid fixed in time: 98..100, 100..102, 102..104.
    window = history_of(1, 3, 5, 7, start=101.0).window(104.0, 4.0, 2)
    assert window.hits == [2, 6]


def test_a_latency_column_keeps_its_highest_p99() -> None:
    history = History()
    for index, p99 in enumerate((10.0, 90.0)):
        history.add(101.0 + index, snapshot(p99=p99))
    window = history.window(102.0, 4.0, 2)
    assert window.p99[-1] == 90.0
    assert window.p50[-1] == 25.0


def test_a_lost_connection_is_a_gap_and_not_a_zero() -> None:
    window = history_of(5, None, None, 0, start=100.0).window(103.0, 4.0, 4)
    assert window.hits == [5, None, None, 0]
    assert window.gaps == [False, True, True, False]


def test_a_gap_that_goes_on_reaches_to_now() -> None:
    window = history_of(5, None).window(103.0, 4.0, 4)
    assert window.gaps == [False, True, True, True]


def test_time_before_the_first_sample_is_no_gap() -> None:
    window = history_of(5).window(100.0, 4.0, 4)
    assert window.hits == [None, None, None, 5]
    assert window.gaps == [False] * 4


def test_a_machine_that_slept_leaves_a_gap() -> None:
    history = history_of(5, 5)
    history.add(111.0, snapshot(5))
    assert history.window(111.0, 11.0, 11).gaps == [False, *[True] * 9, False]


def test_a_late_snapshot_leaves_none() -> None:
    history = history_of(5, 5)
    history.add(103.4, snapshot(5))
    assert not any(history.window(103.4, 4.0, 40).gaps)


def test_no_requests_is_no_latency_and_no_gap() -> None:
    window = history_of(0, 0).window(101.0, 2.0, 2)
    assert window.p99 == [None, None]
    assert window.gaps == [False, False]


def test_what_has_been_drawn_is_not_binned_anew_when_time_goes_on() -> None:
    history = history_of(*range(40), start=1_000.0)
    before = history.window(1_038.0, 30.0, 50).hits
    after = history.window(1_039.0, 30.0, 50).hits
    shifted = next(step for step in (1, 2) if after[: 50 - step] == before[step:])
    assert shifted


@given(
    st.lists(st.one_of(st.none(), st.floats(0, 1e6)), max_size=60),
    st.integers(1, 200),
    st.sampled_from([60.0, 300.0, 900.0]),
)
def test_no_column_is_both_a_gap_and_a_figure(
    rates: list[float | None], columns: int, window_s: float
) -> None:
    window = history_of(*rates).window(100.0 + len(rates), window_s, columns)
    assert len(window.hits) == len(window.gaps) == columns
    for value, is_gap in zip(window.hits, window.gaps, strict=True):
        assert value is None or not is_gap


def test_the_ring_forgets_its_oldest() -> None:
    history = History(capacity=3)
    for index in range(5):
        history.add(float(index), snapshot(index))
    assert [sample.hits_per_s for sample in history.recent(4.0, 100.0)] == [4, 3, 2]


def test_a_frozen_window_does_not_see_what_came_later() -> None:
    history = history_of(1, 2, 3)
    assert [sample.hits_per_s for sample in history.recent(101.0, 60.0)] == [2, 1]


def test_a_time_that_goes_back_is_left_out() -> None:
    history = history_of(1, 2)
    history.add(100.5, snapshot(9))
    assert len(history) == 2


def test_the_cursor_finds_the_sample_that_covers_a_moment() -> None:
    history = history_of(1, None, None, 4)
    found = history.sample_at(102.5)
    assert found is not None
    assert found.hits_per_s == 4
    assert history.sample_at(101.5) is None
    assert history.sample_at(104.0) is None


@pytest.mark.parametrize(
    ("after", "ratio"),
    [((40, 20), 0.75), ((10, 10), None), ((3, 1), 0.75)],
    ids=["in the window", "not asked", "a new daemon counts from zero"],
)
def test_a_tier_s_hit_rate_is_of_the_window(after: tuple[int, int], ratio: float | None) -> None:
    history = History()
    history.add(1.0, snapshot(tier=(10, 10)))
    history.add(2.0, snapshot(tier=after))
    assert history.tier_ratios(2.0, 60.0) == {"memory": ratio}


def test_without_samples_there_are_no_ratios() -> None:
    assert History().tier_ratios(0.0, 60.0) == {}
