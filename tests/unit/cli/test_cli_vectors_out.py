"""Printed numbers give the same bits back."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from emberd.cli.vectors_out import json_vector_line, vector_line

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
float32s = hnp.arrays(np.float32, st.integers(1, 20), elements=finite)


@given(float32s)
def test_a_line_reads_back_bit_for_bit(vector: np.ndarray) -> None:
    back = np.array(vector_line(vector).split(), dtype=np.float32)
    assert back.tobytes() == vector.tobytes()


@given(float32s)
def test_a_json_line_reads_back_bit_for_bit(vector: np.ndarray) -> None:
    found = json.loads(json_vector_line(vector, {"index": 3}))
    assert found["index"] == 3
    assert np.array(found["vector"], dtype=np.float32).tobytes() == vector.tobytes()


def test_numbers_are_as_short_as_they_can_be() -> None:
    assert vector_line(np.array([0.1, -2.5], np.float32)) == "0.1 -2.5"
    assert vector_line(np.array([-3, 127], np.int8)) == "-3 127"


def test_fields_stand_before_the_vector_and_text_stays_readable() -> None:
    line = json_vector_line(np.array([1.0], np.float32), {"index": 0, "text": 'é "q"'})
    assert line == '{"index":0,"text":"é \\"q\\"","vector":[1.0]}'


def test_without_a_vector_the_json_is_still_json() -> None:
    assert json.loads(json_vector_line(None, {})) == {"vector": None}
    nan = np.array([np.nan], np.float32)
    assert json.loads(json_vector_line(nan, {"index": 1})) == {"index": 1, "vector": None}
