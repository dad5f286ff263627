"""The texts with the most hits: exact while there is room, and known to be over where not."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from emberd.telemetry.top_texts import SHOWN_CHARS, TopTextCounts


def test_hits_are_exact_while_every_text_has_a_counter() -> None:
    counts = TopTextCounts(2)
    counts.count("default", ["a", "b", "a", "c", "a", "b"])
    found = counts.top("default", 10)
    assert [(each.text, each.hits, each.over) for each in found.texts] == [("a", 3, 0), ("b", 2, 0)]
    assert (found.kept, found.hits) == (2, 6)
    assert len(counts.top("default", 1).texts) == 1


def test_long_texts_with_one_beginning_are_counted_apart() -> None:
    counts = TopTextCounts(3)
    long = "x" * 1_000
    counts.count("default", [long + "a", long + "a", long + "b"])
    found = counts.top("default", 3).texts
    assert [(each.text, each.characters, each.hits) for each in found] == [
        ("x" * SHOWN_CHARS, 1_001, 2),
        ("x" * SHOWN_CHARS, 1_001, 1),
    ]


def test_namespaces_are_apart_and_are_cleared_apart() -> None:
    counts = TopTextCounts(5)
    counts.count("a", ["of a"])
    counts.count("b", ["of b"])
    assert [each.text for each in counts.top("a", 5).texts] == ["of a"]
    counts.clear("a")
    assert counts.top("a", 5).texts == []
    assert [each.text for each in counts.top("b", 5).texts] == ["of b"]
    counts.clear(None)
    assert counts.top("b", 5).texts == []


@given(st.lists(st.integers(0, 40), max_size=400), st.integers(1, 3))
def test_counts_keep_the_bounds_of_space_saving(numbers: list[int], kept: int) -> None:
    counts, truth = TopTextCounts(kept), Counter(str(number) for number in numbers)
    for number in numbers:
        counts.count("default", [str(number)])
    found = counts.top("default", kept)
    assert found.hits == len(numbers)
    for each in found.texts:
        assert each.hits - each.over <= truth[each.text] <= each.hits
    shown = {each.text for each in found.texts}
    least = min((each.hits for each in found.texts), default=0)
    for text, hits in truth.items():
        # A text beyond the share that a counter stands for always has one.
        if hits > len(numbers) / (8 * kept) and text not in shown:
            assert hits <= least


def test_the_most_asked_texts_stand_out_of_a_stream_of_strangers() -> None:
    chance = random.Random(7)
    counts = TopTextCounts(3)
    for index in range(5_000):
        common = [name for name, share in (("a", 0.2), ("b", 0.1)) if chance.random() < share]
        counts.count("default", [f"stranger {index}", *common])
    assert [each.text for each in counts.top("default", 2).texts] == ["a", "b"]
