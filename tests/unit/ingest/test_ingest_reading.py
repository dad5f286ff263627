"""From bytes to text: charsets, and what is no text."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberd.ingest.reading import SkippedError, UnreadableError, decode, read_file

TEXT = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1).filter(str.strip)


def text_of(data: bytes) -> tuple[str, str]:
    content = decode(data, "hash")
    return content.text, content.charset


@given(TEXT)
def test_utf8_is_read_with_and_without_a_mark(text: str) -> None:
    assert text_of(text.encode("utf-8-sig"))[0] == text
    if not text.startswith("\ufeff"):
        assert text_of(text.encode()) == (text, "utf-8")


@pytest.mark.parametrize("charset", ["utf-16", "utf-32"])
@given(TEXT)
def test_a_byte_order_mark_names_the_charset(charset: str, text: str) -> None:
    assert text_of(text.encode(charset)) == (text, charset)


def test_what_is_not_utf8_is_tried_as_windows_1252() -> None:
    assert text_of("Café €5 naïve".encode("windows-1252")) == ("Café €5 naïve", "windows-1252")


def test_line_ends_become_newlines() -> None:
    assert text_of(b"a\r\nb\rc\n") == ("a\nb\nc\n", "utf-8")


@pytest.mark.parametrize("data", [b"PK\0\3", b"\x89PNG\r\n\x1a\n\xff\x01"], ids=["nul", "control"])
def test_binary_files_are_skipped(data: bytes) -> None:
    with pytest.raises(SkippedError, match="binary"):
        decode(data, "hash")


@pytest.mark.parametrize("data", [b"", b" \n\t\n", b"\xef\xbb\xbf"])
def test_files_without_words_are_skipped(data: bytes) -> None:
    with pytest.raises(SkippedError, match="empty"):
        decode(data, "hash")


@pytest.mark.parametrize("data", [b"caf\x81\xe9", b"\xff\xfea"], ids=["no charset", "half a unit"])
def test_what_cannot_be_read_says_where(data: bytes) -> None:
    with pytest.raises(UnreadableError, match=r"byte \d+\); convert it to UTF-8"):
        decode(data, "hash")


def test_minified_files_are_skipped_where_long_lines_mean_that() -> None:
    data = b"var a=1;" * 1000
    with pytest.raises(SkippedError, match="minified"):
        decode(data, "hash", may_have_long_lines=False)
    assert decode(data, "hash").size_bytes == len(data)


def test_the_hash_is_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a\r\n")
    assert read_file(str(tmp_path / "a")) == (b"a\r\n", hashlib.sha256(b"a\r\n").hexdigest())


def test_a_file_that_is_gone_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="no such file"):
        read_file(str(tmp_path / "a"))
