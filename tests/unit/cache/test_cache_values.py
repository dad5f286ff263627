from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from emberd.records.values import MAX_TOKENS, pack_values, round_like, unpack_values, value_size

dtypes = st.sampled_from(["f16", "f32"])
vectors = npst.arrays(
    np.float32,
    npst.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9),
    elements=st.floats(-1, 1, width=32),
)


@given(vectors, dtypes, st.data())
def test_what_is_unpacked_is_what_was_packed(rows, dtype, data):
    count, dim = rows.shape
    tokens = data.draw(
        st.lists(st.integers(0, MAX_TOKENS), min_size=count, max_size=count), label="tokens"
    )
    cut = data.draw(st.lists(st.booleans(), min_size=count, max_size=count), label="truncated")
    values = pack_values(rows, tokens, cut, dtype)
    assert [len(value) for value in values] == [value_size(dim, dtype)] * count
    found, found_tokens, found_cut = unpack_values(values, dim, dtype)
    assert found.dtype == np.float32
    assert found.shape == rows.shape
    assert found_tokens.tolist() == tokens
    assert found_cut.tolist() == cut
    assert found.tobytes() == round_like(rows, dtype).tobytes()


@given(vectors)
def test_f32_loses_nothing_and_f16_little(rows):
    assert round_like(rows, "f32").tobytes() == rows.tobytes()
    assert np.abs(round_like(rows, "f16") - rows).max() <= 2**-11


def test_a_value_of_another_length_is_refused():
    values = pack_values(np.ones((2, 4), np.float32), [1, 2], [False, True], "f16")
    with pytest.raises(ValueError, match="not 12 bytes"):
        unpack_values([values[0], values[1][:-1]], 4, "f16")
    with pytest.raises(ValueError, match="not 20 bytes"):
        unpack_values(values, 4, "f32")


def test_no_values_give_empty_arrays():
    found, tokens, cut = unpack_values([], 4, "f16")
    assert (found.shape, tokens.shape, cut.shape) == ((0, 4), (0,), (0,))
    assert pack_values(np.empty((0, 4), np.float32), [], [], "f16") == []


def test_unpacked_vectors_are_the_callers_to_change():
    values = pack_values(np.ones((1, 4), np.float32), [1], [False], "f32")
    found, _, _ = unpack_values(values, 4, "f32")
    found += 1
