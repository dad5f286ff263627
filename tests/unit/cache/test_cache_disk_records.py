from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from emberd.records.rows import (
    HEADER_BYTES,
    Record,
    key_in,
    make_record,
    open_row,
    read_record,
    rowid_bytes,
    rowid_of,
    tag_of,
)

keys = st.binary(min_size=16, max_size=16)
rows = st.tuples(keys, st.integers(0, 2**32 - 1), st.integers(0, 0xFFFF), st.binary(max_size=60))


@given(rows, st.integers(0, 100_000))
def test_a_row_reads_back_as_it_was_made(row, text_length):
    key, created, tag, value = row
    made = make_record(key, created, tag, value, text_length)
    assert len(made) == HEADER_BYTES + len(value) == 28 + len(value)
    assert read_record(made) == Record(key, created, tag, min(text_length, 0xFFFF), value)
    assert open_row(memoryview(made), key, tag) == (created, value)
    assert key_in(made) == key


@given(rows, st.data())
def test_one_flipped_bit_anywhere_is_seen(row, data):
    key, created, tag, value = row
    made = bytearray(make_record(key, created, tag, value))
    bit = data.draw(st.integers(0, len(made) * 8 - 1))
    made[bit // 8] ^= 1 << bit % 8
    assert read_record(bytes(made)) is None
    assert open_row(memoryview(made), key, tag) is None


@given(rows, st.data())
def test_a_row_cut_short_is_seen(row, data):
    key, created, tag, value = row
    made = make_record(key, created, tag, value)
    cut = made[: data.draw(st.integers(0, len(made) - 1))]
    assert read_record(cut) is None
    assert open_row(memoryview(cut), key, tag) is None
    assert len(key_in(cut)) == 16


@given(rows, keys)
def test_a_row_is_not_believed_under_another_key_or_namespace(row, other):
    key, created, tag, value = row
    made = memoryview(make_record(key, created, tag, value))
    assert open_row(made, key, tag ^ 1) is None
    if other != key:
        assert open_row(made, other, tag) is None


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**48 - 1))
def test_row_ids_sort_as_their_numbers(one, other):
    assert (rowid_bytes(one) < rowid_bytes(other)) == (one < other)
    assert rowid_of(rowid_bytes(one)) == one


def test_five_default_rows_fill_a_page():
    node = 8 + 2 + 6 + len(make_record(bytes(16), 0, 0, bytes(2 * 384 + 4)))
    assert (4_096 - 16) // node == 5


def test_tags_are_sixteen_bits_of_the_name():
    assert 0 <= tag_of("default") <= 0xFFFF
    assert tag_of("a") != tag_of("b")
