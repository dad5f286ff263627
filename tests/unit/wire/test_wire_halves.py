"""float16 to float32 without NumPy's software conversion."""

from __future__ import annotations

import numpy as np
import pytest

from emberd.wire.halves import widened

EVERY = np.arange(1 << 16, dtype="<u2").view("<f2")


def bits(array: np.ndarray) -> bytes:
    return array.astype("<f4", copy=False).tobytes()


def test_every_finite_number_comes_out_as_numpy_has_it() -> None:
    finite = EVERY[np.isfinite(EVERY)]
    assert bits(widened(finite)) == bits(finite.astype(np.float32))


@pytest.mark.parametrize("stranger", [np.inf, -np.inf, np.nan])
def test_one_number_that_is_not_finite_changes_no_other(stranger: float) -> None:
    halves = np.linspace(-1, 1, 5_000).astype("<f2")
    halves[1234] = stranger
    assert bits(widened(halves)) == bits(halves.astype(np.float32))


@pytest.mark.parametrize("count", [0, 1, 7, 1_023, 1_024, 1_025])
def test_rows_of_a_wider_record_keep_their_shape(count: int) -> None:
    rows = np.zeros(count, np.dtype([("vector", "<f2", (24,)), ("tail", "<u4")]))
    rows["vector"] = np.sin(np.arange(count * 24)).reshape(count, 24)
    found = widened(rows["vector"])
    assert found.shape == (count, 24)
    assert bits(found) == bits(rows["vector"].astype(np.float32))
    found[:] = 1  # the caller's own array
