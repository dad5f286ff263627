"""Figures read as a person writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberd.cli.printing import (
    allows_color,
    amount,
    duration,
    json_line,
    pair_lines,
    percent,
    plural,
    shortened,
    size,
    table_lines,
)
from emberd.wire.snapshot import Latency


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (4 << 30, "4.0 GiB"),
        (3 << 50, "3072.0 TiB"),
    ],
)
def test_sizes_use_the_largest_fitting_unit(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4242, "0.42 s"), (12.34, "12.3 s"), (75, "1m 15s"), (7260, "2h 1m"), (200_000, "2d 7h")],
)
def test_durations_have_two_parts_at_most(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(0, "0%"), (0.001, "<1%"), (0.425, "42%"), (0.9999, "99%"), (1, "100%")],
)
def test_a_share_is_never_rounded_to_nothing_or_to_all(ratio: float, text: str) -> None:
    assert percent(ratio) == text


def test_an_amount_uses_the_unit_of_the_whole() -> None:
    assert amount(512 << 10, 2 << 20) == "0.5 of 2.0 MiB"
    assert amount(0, 612) == "0 of 612 B"


@given(st.text(max_size=60), st.integers(8, 40))
def test_shortened_texts_keep_both_ends_and_have_their_width(text: str, width: int) -> None:
    short = shortened(text, width)
    assert len(short) == width
    if len(text) > width:
        assert text.startswith(short.split("...")[0])
        assert text.endswith(short[-2:])


def test_nouns_agree_with_their_count() -> None:
    assert plural(1, "text") == "1 text"
    assert plural(12_345, "text") == "12,345 texts"
    assert plural(2, "entry") == "2 entries"


def test_tables_align_words_left_and_numbers_right() -> None:
    lines = table_lines(["NAME", "N"], [["a", "1"], ["long name", "1,000"]], right="N")
    assert lines == ["NAME           N", "a              1", "long name  1,000"]


def test_pairs_share_a_column() -> None:
    assert pair_lines([("a", "1"), ("long", "2")]) == ["a     1", "long  2"]


def test_structs_become_one_line_of_json() -> None:
    assert json_line({"latency": Latency(count=1), "text": "é"}) == (
        '{"latency":{"count":1,"p50_ms":0.0,"p90_ms":0.0,"p99_ms":0.0,"max_ms":0.0},"text":"é"}'
    )


def test_no_color_and_dumb_terminals_are_respected() -> None:
    assert allows_color({})
    assert allows_color({"NO_COLOR": ""})
    assert not allows_color({"NO_COLOR": "1"})
    assert not allows_color({"TERM": "dumb"})
