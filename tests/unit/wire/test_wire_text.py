"""Invalid UTF-8 is found in every form in which it can arrive, and nowhere else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from emberd.wire import first_invalid_utf8, has_invalid_utf8


@given(st.binary(max_size=60))
def test_exactly_the_bytes_that_are_not_utf8_are_found(data: bytes) -> None:
    try:
        data.decode()
        is_valid = True
    except UnicodeDecodeError:
        is_valid = False
    assert has_invalid_utf8(data.decode("utf-8", "surrogateescape")) is not is_valid


@given(st.text(max_size=60))
def test_no_valid_text_is_called_invalid(text: str) -> None:
    assert not has_invalid_utf8(text)


def test_the_first_bad_text_of_many_is_named() -> None:
    assert first_invalid_utf8(["a", "ä", "日本", "x\udcff", "\ud800"]) == 3
    assert first_invalid_utf8(["a", "ä", "日本"]) is None
    assert first_invalid_utf8([]) is None
