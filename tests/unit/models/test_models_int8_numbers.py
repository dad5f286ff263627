"""Ranges and rounding: bounds that hold for any numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from emberd.models.bert.int8.ranges import Operand, Seen, choose_operand, dequantised
from emberd.models.bert.int8.rounding import error_factor, quantise_weight, rounded_weight
from emberd.models.safetensors import SafeTensors, write_safetensors

NUMBERS = st.floats(-1000, 1000, width=32)
WEIGHTS = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 6), st.integers(1, 9)), elements=NUMBERS
)


def seen(rows: np.ndarray) -> Seen:
    return Seen(rows, rows.min(axis=0), rows.max(axis=0))


def gaussian(rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(rows, columns)).astype(np.float32)


@given(WEIGHTS)
def test_a_weight_is_off_by_half_a_step_at_most(weight: np.ndarray) -> None:
    steps, scale = quantise_weight(weight)
    assert steps.dtype == np.int8
    assert np.abs(steps).max() <= 127
    off = np.abs(steps * scale[:, None].astype(np.float64) - weight)
    assert (off <= 0.5001 * scale[:, None] + 1e-30).all()


@given(WEIGHTS)
def test_channels_that_know_nothing_of_each_other_are_rounded_to_the_nearest(
    weight: np.ndarray,
) -> None:
    steps, scale = quantise_weight(weight)
    others, same_scale = rounded_weight(weight, np.eye(weight.shape[1], dtype=np.float32))
    assert np.array_equal(steps, others)
    assert np.array_equal(scale, same_scale)


@settings(max_examples=40)
@given(
    arrays.arrays(np.float32, (7, 5), elements=NUMBERS),
    arrays.arrays(np.float32, (4, 5), elements=NUMBERS),
    st.booleans(),
)
def test_an_operand_holds_what_lies_in_its_range(
    rows: np.ndarray, weight: np.ndarray, smooth: bool
) -> None:
    operand = choose_operand(seen(rows), weight, smooth=smooth)
    assert 0 <= operand.zero_point <= 255
    assert operand.scale > 0
    assert not dequantised(np.zeros((1, 5), np.float32), operand).any()
    smoothed = rows if operand.smoothing is None else rows * operand.smoothing
    low, high = (operand.scale * (end - operand.zero_point) for end in (0, 255))
    off = np.abs(dequantised(rows, operand) - np.clip(smoothed, low, high))
    assert (off <= 0.51 * operand.scale).all()


def test_rounding_that_makes_good_loses_less_than_rounding_to_the_nearest() -> None:
    inputs = gaussian(400, 12) @ gaussian(12, 24)  # channels that go together
    weight = gaussian(16, 24)
    wanted = inputs @ weight.T

    def lost(steps: np.ndarray, scale: np.ndarray) -> float:
        return float(np.square(inputs @ (steps * scale[:, None]).T - wanted).mean())

    made_good = lost(*rounded_weight(weight, error_factor(inputs)))
    assert made_good < 0.7 * lost(*quantise_weight(weight))


def test_smoothing_saves_the_channels_beside_a_large_one() -> None:
    rows = gaussian(300, 16)
    rows[:, 5] *= 60
    weight = gaussian(8, 16)

    def lost(operand: Operand) -> float:
        factors = 1 if operand.smoothing is None else operand.smoothing
        kept = dequantised(rows, operand)
        return float(np.square((kept / factors - rows) @ weight.T).mean())

    smoothed = choose_operand(seen(rows), weight, smooth=True)
    assert lost(smoothed) < 0.2 * lost(choose_operand(seen(rows), weight, smooth=False))


def test_no_value_that_was_seen_is_clipped() -> None:
    rows = gaussian(50, 8)
    rows[3, 2], rows[4, 5] = 40, -30
    few = Seen(rows[10:], rows.min(axis=0), rows.max(axis=0))
    operand = choose_operand(few, gaussian(8, 8), smooth=True)
    assert operand.smoothing is not None
    off = np.abs(dequantised(rows, operand) - rows * operand.smoothing)
    assert off.max() <= operand.scale


@pytest.mark.parametrize(
    ("code", "dtype"), [("I8", np.int8), ("U8", np.uint8), ("F32", np.float32)]
)
def test_integers_are_written_beside_floats(tmp_path: Path, code: str, dtype: type) -> None:
    values = np.arange(6).reshape(2, 3).astype(dtype)
    path = tmp_path / "t"
    tensors = {"a": (2, 3), "z": (1,)}
    write_safetensors(
        path, tensors, lambda n: values if n == "a" else np.ones(1, np.float32), {"a": code}
    )
    with SafeTensors(path) as found:
        slot = found.slots["a"]
        assert (slot.dtype, slot.shape, slot.size) == (code, (2, 3), values.nbytes)
        raw = path.read_bytes()[slot.offset : slot.offset + slot.size]
        assert np.array_equal(np.frombuffer(raw, dtype).reshape(2, 3), values)
        assert found.floats("z").tolist() == [1.0]
