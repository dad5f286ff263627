"""Vectors survive the wire within each dtype's bound; parts that do not fit are refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from emberd.errors import InvalidParamsError
from emberd.wire import Decoder, Encoder, Limits
from emberd.wire.vectors import DTYPES, decode_vectors, encode_vectors, vectors_to_lists

Array = NDArray[np.float32]

ARRAYS = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=20),
    elements=st.floats(-1e4, 1e4, width=32),
)


def sent(vectors: Array, dtype: str) -> Array:
    """Through the codec and back."""
    data = Encoder().response(1, None, encode_vectors(vectors, dtype))
    (event,) = Decoder(Limits()).feed(data)
    return decode_vectors(event.result)


@given(ARRAYS)
def test_f32_comes_back_bit_for_bit(vectors: Array) -> None:
    back = sent(vectors, "f32")
    assert back.dtype == np.float32
    assert back.tobytes() == vectors.tobytes()
    assert back.shape == vectors.shape


@given(ARRAYS)
def test_f16_is_within_half_a_unit_in_the_last_place(vectors: Array) -> None:
    error = np.abs(sent(vectors, "f16") - vectors)
    assert (error <= np.abs(vectors) * 2.0**-11 + 2.0**-25).all()


@given(ARRAYS)
def test_i8_is_within_half_a_step_of_its_row(vectors: Array) -> None:
    step = np.abs(vectors).max(axis=1, initial=0.0, keepdims=True) / 127
    error = np.abs(sent(vectors, "i8") - vectors)
    assert (error <= step * 0.5001 + 1e-37).all()


@given(ARRAYS)
def test_bit_keeps_the_signs_and_a_norm_of_one(vectors: Array) -> None:
    back = sent(vectors, "bit")
    assert back.shape == vectors.shape
    assert ((back > 0) == (vectors > 0)).all()
    if vectors.size:
        np.testing.assert_allclose(np.linalg.norm(back, axis=1), 1, rtol=1e-5)


@given(ARRAYS, st.sampled_from(DTYPES))
def test_lists_hold_what_bin_holds(vectors: Array, dtype: str) -> None:
    lists = vectors_to_lists(vectors, dtype)
    back = decode_vectors(lists)
    assert back.tolist() == lists == sent(vectors, dtype).tolist()


def test_sizes_on_the_wire_are_as_documented() -> None:
    vectors = np.ones((3, 10), np.float32)
    sizes = {dtype: len(encode_vectors(vectors, dtype)["data"]) for dtype in DTYPES}
    assert sizes == {"f32": 120, "f16": 60, "i8": 30, "bit": 6}
    assert len(encode_vectors(vectors, "i8")["scale"]) == 12


def test_a_decoded_array_may_be_written_to() -> None:
    for dtype in DTYPES:
        sent(np.ones((2, 4), np.float32), dtype)[0, 0] = 5


def test_f16_saturates_instead_of_becoming_infinite() -> None:
    vectors = np.array([[1e9, -1e9]], np.float32)
    assert sent(vectors, "f16").tolist() == [[65_504.0, -65_504.0]]


def test_arrays_of_any_layout_can_be_sent() -> None:
    vectors = np.asfortranarray(np.arange(12, dtype=np.float32).reshape(3, 4))[::2]
    assert sent(vectors, "f32").tolist() == [[0, 1, 2, 3], [8, 9, 10, 11]]


GOOD: dict[str, Any] = {"dtype": "f32", "shape": [1, 2], "data": bytes(8)}


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (None, "vectors"),
        ("text", "vectors"),
        ({}, "shape"),
        (GOOD | {"dtype": "f64"}, "dtype"),
        (GOOD | {"dtype": None}, "dtype"),
        (GOOD | {"dtype": ["f32"]}, "dtype"),
        (GOOD | {"shape": [1]}, "shape"),
        (GOOD | {"shape": [1, 2, 3]}, "shape"),
        (GOOD | {"shape": [-1, -2]}, "shape"),
        (GOOD | {"shape": [True, 2]}, "shape"),
        (GOOD | {"shape": [1.0, 2]}, "shape"),
        (GOOD | {"shape": [1 << 40, 1 << 40]}, "shape"),
        (GOOD | {"shape": [2, 2]}, "data"),
        (GOOD | {"shape": [1 << 31, 1 << 31]}, "data"),
        (GOOD | {"data": bytes(7)}, "data"),
        (GOOD | {"data": bytes(9)}, "data"),
        (GOOD | {"data": "12345678"}, "data"),
        ({"dtype": "i8", "shape": [1, 2], "data": bytes(2)}, "scale"),
        ({"dtype": "i8", "shape": [1, 2], "data": bytes(2), "scale": bytes(8)}, "scale"),
        (
            {
                "dtype": "i8",
                "shape": [1, 2],
                "data": bytes(2),
                "scale": np.float32(math.inf).tobytes(),
            },
            "scale",
        ),
        ([[1.0], [1.0, 2.0]], "vectors"),
        ([1.0, 2.0], "vectors"),
        ([["1"]], "vectors"),
        ([[True]], "vectors"),
        ([[None]], "vectors"),
        ([[10**400]], "vectors"),
    ],
)
def test_parts_that_do_not_fit_are_refused_by_name(value: Any, field: str) -> None:
    with pytest.raises(InvalidParamsError) as caught:
        decode_vectors(value)
    assert caught.value.details["field"] == field


def test_another_dtype_cannot_be_sent() -> None:
    with pytest.raises(InvalidParamsError, match="f32, f16, i8, bit"):
        encode_vectors(np.ones((1, 1), np.float32), "f64")
