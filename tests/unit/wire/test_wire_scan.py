"""Judging heads: the walk agrees with MessagePack, byte for byte."""

from __future__ import annotations

from typing import Any

import msgpack
from hypothesis import given
from hypothesis import strategies as st

from emberd.wire import Limits
from emberd.wire.scan import is_over_limits, request_msgid

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=300)
    | st.binary(max_size=300)
    | st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=40)),
    lambda inner: (
        st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=9), inner, max_size=20)
    ),
    max_leaves=12,
)


@given(VALUES)
def test_a_value_is_over_a_cap_one_below_its_size_and_not_over_its_size(value: Any) -> None:
    data = msgpack.packb(value)
    assert not is_over_limits(data, Limits(frame_bytes=len(data)))
    if len(msgpack.packb(value)) < 200 and _count(value) < 60:
        assert is_over_limits(data, Limits(frame_bytes=len(data) - 1))


@given(VALUES, st.integers(0, 200))
def test_no_part_of_a_value_looks_larger_than_the_whole(value: Any, cut: int) -> None:
    data = msgpack.packb(value)
    assert not is_over_limits(data[:cut], Limits(frame_bytes=len(data)))


@given(st.binary(max_size=60))
def test_any_bytes_can_be_judged(noise: bytes) -> None:
    is_over_limits(noise, Limits(frame_bytes=20, array=3, map=3))
    request_msgid(noise)


@given(st.integers(0, 2**64 - 1))
def test_the_msgid_of_a_request_is_found_in_its_head(msgid: int) -> None:
    for lead in (b"\x94", b"\xdc\x00\x04", b"\xdd\x00\x00\x00\x04"):
        head = lead + b"\x00" + msgpack.packb(msgid)
        found = request_msgid(head + b"\xa5embed")
        assert found == (msgid if msgid < 2**32 else None)
        assert request_msgid(head[:-1]) is None


def test_responses_and_notifications_have_no_msgid_to_answer() -> None:
    assert request_msgid(msgpack.packb([1, 5, None, None])) is None
    assert request_msgid(msgpack.packb([2, "cancel", [5]])) is None


def _count(value: Any) -> int:
    if isinstance(value, list):
        return 1 + sum(map(_count, value))
    if isinstance(value, dict):
        return 1 + sum(1 + _count(child) for child in value.values())
    return 1
