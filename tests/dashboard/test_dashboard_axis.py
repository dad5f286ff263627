from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberd_tui.axis import HOLD_S, Axis, decade_axis, linear_axis, settle, ticks

PEAKS = st.floats(0, 1e9, allow_nan=False)


@pytest.mark.parametrize(
    ("peak", "top"), [(0, 10), (10, 10), (11, 20), (480, 500), (501, 1_000), (1_300, 2_000)]
)
def test_a_linear_axis_ends_at_a_nice_number(peak: float, top: float) -> None:
    assert linear_axis(peak) == Axis(0.0, top)


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ((), 0.1, 100),
        ((0.3, 40), 0.1, 100),
        ((3, 4), 0.1, 10),
        ((0.3, 4_000), 0.1, 10_000),
        ((0.0,), 0.1, 100),
        ((1e-9,), 0.01, 1),
    ],
)
def test_a_decade_axis_has_whole_decades_and_two_at_least(
    values: tuple[float, ...], low: float, high: float
) -> None:
    axis = decade_axis(values)
    assert (axis.low, axis.high) == pytest.approx((low, high))


@given(PEAKS)
def test_an_axis_holds_its_peak_and_is_not_much_taller(peak: float) -> None:
    axis = linear_axis(peak)
    assert peak <= axis.high * (1 + 1e-9)
    assert axis.high <= max(2.5 * peak, 10) * (1 + 1e-9)


@given(st.lists(PEAKS, min_size=1, max_size=30))
def test_an_axis_always_holds_what_is_shown(peaks: list[float]) -> None:
    axis = linear_axis(0)
    for second, peak in enumerate(peaks):
        axis = settle(axis, linear_axis(peak), linear_axis(peak * 1.25), float(second))
        assert peak <= axis.high * (1 + 1e-9)


def test_an_axis_grows_at_once() -> None:
    assert settle(Axis(0, 100), Axis(0, 500), Axis(0, 500), 0.0) == Axis(0, 500)


def test_an_axis_shrinks_only_after_a_while() -> None:
    axis, small = Axis(0, 1_000), Axis(0, 100)
    for second in range(int(HOLD_S) + 1):
        assert axis.high == 1_000
        axis = settle(axis, small, small, float(second))
    assert axis == small


def test_a_peak_in_between_starts_the_wait_anew() -> None:
    axis, small, tall = Axis(0, 1_000), Axis(0, 100), Axis(0, 1_000)
    for second in range(10):
        axis = settle(axis, small, small, float(second))
    axis = settle(axis, tall, tall, 10.0)
    for second in range(11, 11 + int(HOLD_S)):
        axis = settle(axis, small, small, float(second))
    assert axis.high == 1_000


def test_a_logarithmic_axis_grows_at_both_ends() -> None:
    axis = settle(decade_axis((1, 90)), decade_axis((0.2, 9)), decade_axis((0.2, 9)), 0.0)
    assert (axis.low, axis.high, axis.is_log) == (0.1, 100, True)


def test_values_outside_lie_on_the_edge() -> None:
    assert Axis(0, 10).position(99) == 1
    assert decade_axis((1, 90)).position(0) == 0
    assert decade_axis((1, 90)).position(10) == pytest.approx(0.5)


def test_ticks_are_the_ends_and_what_lies_between() -> None:
    assert ticks(Axis(0, 500)) == [0, 250, 500]
    assert ticks(decade_axis((0.2, 90))) == pytest.approx([0.1, 1, 10, 100])
