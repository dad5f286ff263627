from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from emberd.server.http.replies import rows_reply
from emberd.server.http.rows import base64_blocks, encode_items, number_blocks, shortest

Vectors = NDArray[np.float32]

vectors = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, max_side=40),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
)


def digits(number: float) -> int:
    mantissa = repr(number).lower().partition("e")[0]
    return len(mantissa.replace(".", "").replace("-", "").strip("0"))


@given(vectors)
def test_printed_numbers_give_back_the_same_float32(array: Vectors) -> None:
    read = np.array(msgspec.json.decode(msgspec.json.encode(shortest(array).tolist())))
    np.testing.assert_array_equal(read.astype(np.float32), array)


@given(st.floats(min_value=np.float32(1e-12), max_value=1, width=32))
def test_a_component_of_a_unit_vector_prints_in_nine_digits(number: float) -> None:
    [printed] = shortest(np.array([number], dtype=np.float32)).tolist()
    assert digits(printed) <= 9


@given(vectors)
def test_base64_holds_the_rows_bytes(array: Vectors) -> None:
    rows = [base64.b64decode(row) for block in base64_blocks(array) for row in block]
    assert b"".join(rows) == array.astype("<f4").tobytes()


@pytest.mark.parametrize("shape", [(0, 384), (1, 384), (300, 384), (3, 40_000)])
async def test_the_parts_of_many_blocks_are_one_array(shape: tuple[int, int]) -> None:
    array = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    rows = await encode_items(number_blocks(array), array.size)
    bare = rows_reply(rows, {})
    read = np.array(msgspec.json.decode(b"".join(bare.parts)), dtype=np.float32)
    np.testing.assert_array_equal(read.reshape(shape), array)


async def test_a_large_reply_is_made_off_the_event_loop_and_in_small_parts() -> None:
    array = np.ones((2048, 384), dtype=np.float32)
    threads: set[int] = set()

    def seen() -> Iterator[list[Any]]:
        for block in number_blocks(array):
            threads.add(threading.get_ident())
            yield block

    parts = await encode_items(seen(), array.size)
    assert threads
    assert threading.get_ident() not in threads
    assert len(parts) > 40


async def test_rows_stand_where_the_envelope_has_their_key() -> None:
    around = {"model": 'a"data":@b', "data": None, "usage": {"prompt_tokens": 2}}
    reply = rows_reply([b"[1]", b",[2]"], {}, around, "data")
    read = msgspec.json.decode(b"".join(reply.parts))
    assert read == {**around, "data": [[1], [2]]}
    assert list(read) == list(around)
