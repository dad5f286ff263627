from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberd_tui.format import brief, clock, count, duration, milliseconds, percent, rate, size

ANY = st.floats(min_value=0, max_value=1e18, allow_nan=False)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (999, "999"),
        (12_345, "12,345"),
        (99_999, "99,999"),
        (100_000, "100k"),
        (999_499, "999k"),
        (999_500, "1.00M"),
        (2_340_000, "2.34M"),
        (98_700_000_000, "98.7G"),
    ],
)
def test_a_count_is_whole_and_then_three_digits(value: float, shown: str) -> None:
    assert count(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (0.01, "<0.1"), (4.24, "4.2"), (9.97, "10"), (812.3, "812"), (12_345, "12,345")],
)
def test_a_rate_below_ten_has_one_decimal_and_a_trickle_is_not_zero(
    value: float, shown: str
) -> None:
    assert rate(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(409, "409"), (999.6, "1.0k"), (1_240, "1.2k"), (12_400, "12k"), (3_100_000, "3.1M")],
)
def test_a_brief_number_has_four_cells(value: float, shown: str) -> None:
    assert brief(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "0.98 KiB"),
        (12 << 20, "12.0 MiB"),
        (4 << 30, "4.00 GiB"),
        (1_023 << 20, "1.00 GiB"),
    ],
)
def test_a_size_is_in_binary_units(value: int, shown: str) -> None:
    assert size(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.314, "0.31 ms"), (94.2, "94.2 ms"), (999.6, "1.00 s"), (12_500, "12.5 s")],
)
def test_a_latency_has_three_digits(value: float, shown: str) -> None:
    assert milliseconds(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (42.9, "42s"),
        (725, "12m 05s"),
        (8_040, "2h 14m"),
        (273_600, "3d 04h"),
        (86_400 * 100, "100d"),
        (86_400 * 2_000, "2,000d"),
    ],
)
def test_a_duration_has_its_two_largest_units(value: float, shown: str) -> None:
    assert duration(value) == shown


@pytest.mark.parametrize(
    ("ratio", "shown"),
    [
        (0, "0%"),
        (0.0001, "<0.1%"),
        (0.042, "4.2%"),
        (0.9999, "99.9%"),
        (1, "100%"),
        (1.83, "183%"),
    ],
)
def test_nothing_and_everything_are_said_only_when_it_is_exactly_so(
    ratio: float, shown: str
) -> None:
    assert percent(ratio) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(15, "15s"), (75, "75s"), (300, "5m"), (3_600, "1h")]
)
def test_a_window_is_named_shortly(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


@given(ANY)
def test_no_number_is_wider_than_its_column(value: float) -> None:
    assert len(count(value)) <= 6
    assert len(rate(value)) <= 6
    assert len(brief(value)) <= 4
    assert len(size(value)) <= 8
    assert len(milliseconds(value)) <= 7
    assert len(duration(value)) <= 7
    assert len(percent(value)) <= 5


@given(ANY)
def test_every_number_is_ascii(value: float) -> None:
    shown = (count, rate, brief, size, milliseconds, duration, percent)
    assert all(one(value).isascii() for one in shown)
