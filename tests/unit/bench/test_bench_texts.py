from __future__ import annotations

import statistics
from pathlib import Path

import pytest
from bench.texts import LONGEST, SHORTEST, TextMaker
from hypothesis import given
from hypothesis import strategies as st


def units(text: str) -> int:
    """Words and full stops: one token each."""
    return len(text.replace(".", " .").split())


@given(st.integers(0, 1_000))
def test_the_same_seed_makes_the_same_texts(seed: int) -> None:
    assert TextMaker(seed).mixed(20) == TextMaker(seed).mixed(20)


def test_another_seed_makes_other_texts() -> None:
    assert not set(TextMaker(1).mixed(100)) & set(TextMaker(2).mixed(100))


def test_the_texts_are_the_same_on_every_machine() -> None:
    maker = TextMaker(0)
    assert maker.text(5) == "crosses opens heavy"
    assert maker.text(12) == "That window collects that painter after every station again."


@given(st.integers(0, 1_000), st.integers(SHORTEST, LONGEST))
def test_a_text_has_the_tokens_that_were_asked_for(seed: int, tokens: int) -> None:
    assert units(TextMaker(seed).text(tokens)) + 2 == tokens


def test_no_text_comes_twice() -> None:
    maker = TextMaker(3)
    texts = [*maker.mixed(2_000), *maker.uniform(500), *(maker.text(5) for _ in range(2_000))]
    assert len(set(texts)) == len(texts)


def test_texts_grow_where_all_of_a_length_are_used_up() -> None:
    maker = TextMaker(4)
    texts = [maker.text(4) for _ in range(8_000)]  # two of 70 words: 4,900
    assert len(set(texts)) == 8_000
    assert units(texts[0]) == 2
    assert units(texts[-1]) > 2


def test_mixed_texts_are_mostly_short_and_some_fill_the_window() -> None:
    lengths = [units(text) + 2 for text in TextMaker(5).mixed(2_000)]
    assert min(lengths) == SHORTEST
    assert max(lengths) > 0.95 * LONGEST
    assert max(lengths) <= LONGEST
    assert 30 < statistics.median(lengths) < 42
    assert 58 < statistics.mean(lengths) < 70


def test_uniform_texts_have_every_length_alike() -> None:
    lengths = [units(text) + 2 for text in TextMaker(6).uniform(2_000)]
    assert min(lengths) >= SHORTEST
    assert max(lengths) <= LONGEST
    assert 122 < statistics.mean(lengths) < 139


def test_every_word_is_one_token_of_the_default_model(default_model_store: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    file = default_model_store / "all-MiniLM-L6-v2" / "tokenizer.json"
    tokenizer = tokenizers.Tokenizer.from_file(str(file))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    for text in TextMaker(7).mixed(300):
        assert len(tokenizer.encode(text).ids) == units(text) + 2
