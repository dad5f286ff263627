"""Texts come out as they stand in the input, in order, none twice and none lost."""

from __future__ import annotations

import io
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberd.cli.texts import TextSource, in_chunks, split_texts
from emberd.errors import InvalidParamsError

texts = st.lists(st.text(max_size=40), max_size=60)


@given(texts, st.integers(1, 9), st.integers(1, 100))
def test_chunks_hold_every_text_in_order_within_their_bounds(
    given_texts: list[str], most: int, most_chars: int
) -> None:
    chunks = list(in_chunks(given_texts, most=most, most_chars=most_chars))
    assert [text for chunk in chunks for text in chunk] == given_texts
    assert all(1 <= len(chunk) <= most for chunk in chunks)
    assert all(len(chunk) == 1 or sum(map(len, chunk)) <= most_chars for chunk in chunks)


def test_chunks_are_made_as_they_are_asked_for() -> None:
    endless = iter(str, "never")
    assert next(in_chunks(endless, most=3, most_chars=100)) == ["", "", ""]


def test_lines_are_texts_and_blank_ones_are_left_out() -> None:
    assert list(split_texts(["one\n", "\n", "  \n", " two \n"], "line")) == ["one", "two"]


def test_paragraphs_keep_their_line_breaks() -> None:
    lines = io.StringIO("\nfirst\n  indented\n\n\n second\n")
    assert list(split_texts(lines, "paragraph")) == ["first\n  indented", " second"]


words = st.text("abcxyz", min_size=1, max_size=9)


@given(st.lists(st.lists(words, min_size=1, max_size=5), max_size=8))
def test_joined_paragraphs_split_into_themselves(paragraphs: list[list[str]]) -> None:
    whole = ["\n".join(lines) for lines in paragraphs]
    assert list(split_texts(io.StringIO("\n\n".join(whole)), "paragraph")) == whole


def test_a_file_can_be_one_text() -> None:
    assert list(split_texts(["a\n", "\n", "b\n"], "file")) == ["a\n\nb"]
    assert list(split_texts(["\n"], "file")) == []


def test_arguments_come_first_then_each_file(tmp_path: Path) -> None:
    file = tmp_path / "texts.txt"
    file.write_text("two\nthree\n")
    source = TextSource.from_command(["one"], [str(file)], "line")
    assert list(source.texts()) == ["one", "two", "three"]
    assert source.size_bytes == len("one") + len("two\nthree\n")


def test_stdin_is_read_where_nothing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a\nb\n"))
    source = TextSource.from_command([], [], "line")
    assert source.size_bytes is None
    assert list(source.texts()) == ["a", "b"]


def test_a_terminal_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal())
    with pytest.raises(click.UsageError, match="No texts"):
        TextSource.from_command([], [], "line")


def test_a_file_that_is_no_utf8_is_named(tmp_path: Path) -> None:
    file = tmp_path / "latin1.txt"
    file.write_bytes(b"caf\xe9\n")
    with pytest.raises(InvalidParamsError, match=r"latin1\.txt is not UTF-8 text"):
        list(TextSource.from_command([], [str(file)], "line").texts())
