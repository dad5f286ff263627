from __future__ import annotations

import math
import statistics

import pytest
from bench.figures import Bar, Figure, at_least, below, percentile, ratios, show_number
from hypothesis import given
from hypothesis import strategies as st

SAMPLES = st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=50)


@given(SAMPLES)
def test_the_middle_percentile_is_the_median(samples: list[float]) -> None:
    assert percentile(samples, 0.5) == pytest.approx(statistics.median(samples))


@given(SAMPLES, st.floats(0, 1))
def test_a_percentile_lies_between_the_smallest_and_the_largest(
    samples: list[float], share: float
) -> None:
    assert min(samples) <= percentile(samples, share) <= max(samples)
    assert percentile(samples, 0) == min(samples)
    assert percentile(samples, 1) == max(samples)


@given(SAMPLES, st.floats(0, 1), st.floats(0, 1))
def test_percentiles_grow_with_their_share(samples: list[float], a: float, b: float) -> None:
    low, high = sorted((a, b))
    # Interpolating may round the last bit down.
    assert percentile(samples, low) <= percentile(samples, high) + 1e-6


def test_no_samples_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="no samples"):
        percentile([], 0.5)


def test_ratios_are_taken_round_by_round() -> None:
    assert ratios([10, 40], [5, 10]) == (2, 4)
    with pytest.raises(ValueError, match="zip"):
        ratios([1], [1, 2])


def test_a_figure_is_the_median_of_its_samples_with_the_quartiles() -> None:
    figure = Figure("f", "x", (5.0, 1.0, 3.0, 2.0, 4.0))
    assert figure.value == 3.0
    assert figure.spread == (2.0, 4.0)


def test_few_samples_have_their_extremes_as_spread() -> None:
    assert Figure("f", "x", (2.0, 9.0, 3.0)).spread == (2.0, 9.0)


def test_a_worst_figure_is_the_largest_sample() -> None:
    assert Figure("f", "ms", (1.0, 9.0, 2.0), summary="worst").value == 9.0


@pytest.mark.parametrize(
    ("bar", "value", "is_met"),
    [
        (at_least(50), 50.0, True),
        (at_least(50), 49.9, False),
        (below(200), 199.9, True),
        (below(200), 200.0, False),
        (at_least(1), math.nan, False),
        (below(1), math.nan, False),
    ],
)
def test_a_bar_says_on_which_side_of_it_a_figure_must_be(
    bar: Bar, value: float, is_met: bool
) -> None:
    assert Figure("f", "x", (value,), bar).is_met is is_met


def test_a_figure_without_a_bar_neither_meets_nor_misses_one() -> None:
    assert Figure("f", "x", (1.0,)).is_met is None


def test_a_bar_reads_as_a_comparison() -> None:
    assert str(at_least(0.95)) == ">= 0.95"
    assert str(below(200)) == "< 200"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.9534, "0.953"),
        (0.00123, "0.00123"),
        (1.0, "1"),
        (14.236, "14.2"),
        (99.97, "100"),
        (187.4, "187"),
        (12_345.6, "12,346"),
        (-3.14159, "-3.14"),
        (math.inf, "inf"),
    ],
)
def test_numbers_show_three_figures(value: float, text: str) -> None:
    assert show_number(value) == text
