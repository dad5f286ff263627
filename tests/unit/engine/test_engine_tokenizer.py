"""Truncation, exact counts and unreadable texts, over real tokenizers built here."""

from __future__ import annotations

import tempfile
from array import array
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing

from emberd.engine.text import Encoded
from emberd.engine.tokenizer import TextTokenizer
from emberd.errors import (
    EmbeddingFailedError,
    EmberdError,
    InvalidParamsError,
    ModelLoadFailedError,
    TextTooLongError,
)

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *[f"w{index}" for index in range(1_000)]]
CLS, SEP, FIRST = 2, 3, 4
WINDOW = 10


def write_tokenizer(folder: Path, template: str | None = "[CLS] $A [SEP]") -> Path:
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    if template:
        special = [(word, WORDS.index(word)) for word in ("[CLS]", "[SEP]")]
        tokenizer.post_processor = TemplateProcessing(single=template, special_tokens=special)
    # As files ship: padding and truncation switched on.
    tokenizer.enable_padding(pad_id=7, length=128)
    tokenizer.enable_truncation(5)
    file = folder / "tokenizer.json"
    tokenizer.save(str(file))
    return file


@cache
def shared_tokenizer() -> TextTokenizer:
    with tempfile.TemporaryDirectory() as folder:
        return TextTokenizer(write_tokenizer(Path(folder)), WINDOW)


@pytest.fixture
def tokenizer() -> TextTokenizer:
    return shared_tokenizer()


def words(count: int, start: int = 0) -> str:
    return " ".join(f"w{(start + index) % 1_000}" for index in range(count))


def ids_of(found: Encoded | EmberdError) -> list[int]:
    assert isinstance(found, Encoded)
    ids = array("i", found.ids).tolist()
    assert len(ids) == found.length
    return ids


def test_what_the_file_says_of_padding_and_truncation_is_not_followed(
    tokenizer: TextTokenizer,
) -> None:
    found = tokenizer.encode([words(8), "w0"], "end")
    assert [one.length for one in found] == [10, 3]
    assert tokenizer.pad_id == 7


@given(st.integers(0, 30), st.sampled_from(["end", "start"]))
def test_truncation_keeps_the_right_end_and_the_special_tokens(count: int, truncate: str) -> None:
    body = list(range(FIRST, FIRST + count))
    room = WINDOW - 2
    kept = body[:room] if truncate == "end" else body[max(0, count - room) :]
    (found,) = shared_tokenizer().encode([words(count)], truncate)
    assert ids_of(found) == [CLS, *kept, SEP]
    assert found.truncated == (count > room)


def test_an_exact_fit_is_not_truncated(tokenizer: TextTokenizer) -> None:
    (found,) = tokenizer.encode([words(WINDOW - 2)], "error")
    assert (found.length, found.truncated) == (WINDOW, False)


def test_a_text_over_the_window_is_refused_when_asked(tokenizer: TextTokenizer) -> None:
    long, fits = tokenizer.encode([words(WINDOW), "w0"], "error")
    assert isinstance(long, TextTooLongError)
    assert "has 12 tokens" in long.message
    assert long.details == {"max_tokens": WINDOW}
    assert ids_of(fits) == [CLS, FIRST, SEP]


@settings(deadline=None)
@given(st.integers(60, 400), st.sampled_from(["end", "start"]))
def test_a_part_of_a_very_long_text_gives_what_the_whole_would(count: int, truncate: str) -> None:
    text = words(count, start=300)
    body = [WORDS.index(word) for word in text.split()]
    kept = body[: WINDOW - 2] if truncate == "end" else body[2 - WINDOW :]
    (found,) = shared_tokenizer().encode([text], truncate)
    assert ids_of(found) == [CLS, *kept, SEP]
    assert found.truncated


@pytest.mark.parametrize("truncate", ["end", "start", "error"])
def test_a_long_text_of_few_tokens_is_not_called_truncated(
    tokenizer: TextTokenizer, truncate: str
) -> None:
    text = "w1" + " " * 5_000 + "w2" + " " * 5_000 + "w3"
    (found,) = tokenizer.encode([text], truncate)
    assert ids_of(found) == [CLS, FIRST + 1, FIRST + 2, FIRST + 3, SEP]
    assert not found.truncated


def test_a_very_long_text_is_refused_without_reading_all_of_it(tokenizer: TextTokenizer) -> None:
    (found,) = tokenizer.encode([words(200_000)], "error")
    assert isinstance(found, TextTooLongError)
    assert "more than" in found.message


def test_an_empty_text_is_its_special_tokens(tokenizer: TextTokenizer) -> None:
    assert ids_of(tokenizer.encode([""], "end")[0]) == [CLS, SEP]


def test_a_text_without_any_token_is_refused(tmp_path: Path) -> None:
    bare = TextTokenizer(write_tokenizer(tmp_path, template=None), WINDOW)
    empty, full = bare.encode(["", words(20)], "end")
    assert isinstance(empty, EmbeddingFailedError)
    assert ids_of(full) == list(range(FIRST, FIRST + WINDOW))


def test_a_tokenizer_with_a_suffix_alone_keeps_it(tmp_path: Path) -> None:
    tokenizer = TextTokenizer(write_tokenizer(tmp_path, template="$A [SEP]"), 4)
    end, start = (tokenizer.encode([words(6)], how)[0] for how in ("end", "start"))
    assert ids_of(end) == [FIRST, FIRST + 1, FIRST + 2, SEP]
    assert ids_of(start) == [FIRST + 3, FIRST + 4, FIRST + 5, SEP]


def test_a_lone_surrogate_is_refused_alone_and_named(tokenizer: TextTokenizer) -> None:
    good, bad = tokenizer.encode(["w0", "w1 \ud800"], "end")
    assert ids_of(good) == [CLS, FIRST, SEP]
    assert isinstance(bad, InvalidParamsError)
    assert bad.details == {"field": "texts", "character": 3}


def test_counts_are_of_the_whole_text(tokenizer: TextTokenizer) -> None:
    found = tokenizer.count([words(3), words(5_000), "", "\ud800"])
    assert found[:3] == [5, 5_002, 2]
    assert isinstance(found[3], InvalidParamsError)


def test_one_tokenizer_serves_many_threads_at_once(tokenizer: TextTokenizer) -> None:
    texts = [words(index % 20) for index in range(200)]
    expected = tokenizer.encode(texts, "end")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: tokenizer.encode(texts, "end"), range(40)))
    assert all(one == expected for one in found)


def test_a_file_that_is_no_tokenizer_says_so(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text("{}")
    with pytest.raises(ModelLoadFailedError, match="Cannot read the tokenizer"):
        TextTokenizer(file, WINDOW)


def test_a_window_without_room_for_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadFailedError, match="leaves no room"):
        TextTokenizer(write_tokenizer(tmp_path), 2)
