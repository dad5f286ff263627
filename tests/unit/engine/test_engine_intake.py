"""Cutting a request into jobs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from emberd.engine.intake import slices


@given(st.lists(st.integers(0, 40_000), max_size=600))
def test_slices_keep_order_and_stay_small(sizes: list[int]) -> None:
    runs = list(slices(sizes, lambda size: size))
    assert [size for run in runs for size in run] == sizes
    assert all(sum(run) <= 32_768 or len(run) == 1 for run in runs)
    assert all(0 < len(run) <= 256 for run in runs)
