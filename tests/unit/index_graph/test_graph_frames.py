from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberd.index.graph.frames import Frame, FrameDecoder, FrameError, encode_frame

DTYPES = (np.float32, np.uint64, np.int64)

fields = st.dictionaries(
    st.text(max_size=8),
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False),
    max_size=4,
)


@st.composite
def arrays(draw):
    shape = draw(st.lists(st.integers(0, 5), min_size=1, max_size=3))
    seed = draw(st.integers(0, 9))
    values = np.random.default_rng(seed).integers(0, 1_000, shape)
    return values.astype(draw(st.sampled_from(DTYPES)))


frames = st.builds(
    Frame,
    kind=st.text(max_size=10),
    call=st.integers(0, 2**32),
    fields=fields,
    arrays=st.lists(arrays(), max_size=3).map(tuple),
)


def same(one: Frame, other: Frame) -> bool:
    return (
        (one.kind, one.call, one.fields) == (other.kind, other.call, other.fields)
        and len(one.arrays) == len(other.arrays)
        and all(
            a.dtype == b.dtype and np.array_equal(a, b)
            for a, b in zip(one.arrays, other.arrays, strict=True)
        )
    )


@given(st.lists(frames, max_size=4), st.data())
def test_frames_arrive_as_they_were_however_they_are_cut(sent, data):
    stream = b"".join(b"".join(encode_frame(frame)) for frame in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    decoder = FrameDecoder()
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += decoder.feed(stream[start:end])
    assert len(found) == len(sent)
    assert all(same(one, other) for one, other in zip(found, sent, strict=True))


@given(st.binary(max_size=200))
def test_what_is_no_frame_is_refused_or_waited_for_but_never_believed(data):
    with suppress(FrameError):
        assert FrameDecoder().feed(data) == []


@given(frames, st.data())
def test_a_flipped_bit_is_refused_or_changes_values_only(frame, data):
    stream = bytearray(b"".join(encode_frame(frame)))
    at = data.draw(st.integers(0, len(stream) - 1))
    stream[at] ^= 1 << data.draw(st.integers(0, 7))
    with suppress(FrameError):
        for found in FrameDecoder().feed(bytes(stream)):
            assert all(array.dtype in DTYPES for array in found.arrays)


def test_arrays_lie_at_multiples_of_eight_and_are_not_copied_on_their_way_out():
    rows = np.ones((3, 5), np.float32)
    pieces = encode_frame(Frame("add", 1, {}, (rows[:1], rows)))
    assert any(
        isinstance(piece, memoryview) and np.shares_memory(np.asarray(piece), rows)
        for piece in pieces
    )
    found = FrameDecoder().feed(b"".join(pieces))[0]
    assert np.array_equal(found.arrays[1], rows)


@pytest.mark.parametrize("kind", [np.float64, np.int32, np.bool, object])
def test_other_arrays_do_not_travel(kind):
    with pytest.raises(FrameError):
        encode_frame(Frame("add", 1, {}, (np.zeros(2, kind),)))


def test_a_size_over_the_limit_is_refused_before_it_is_read():
    prefix = encode_frame(Frame("x"))[0]
    huge = prefix[:8] + (1 << 60).to_bytes(8, "little")
    with pytest.raises(FrameError):
        FrameDecoder().feed(huge)
