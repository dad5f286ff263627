"""The parts of an index that are functions: names, metadata, planning, fusion, words, schedules."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberd.config import IndexSettings
from emberd.errors import InvalidParamsError
from emberd.index.metadata import decode_metadata, encode_metadata, fields_of
from emberd.index.names import check_ids, check_name, not_found
from emberd.index.search.fusion import fuse
from emberd.index.search.planner import Situation, plan_search
from emberd.index.search.results import ResultCache
from emberd.index.search.words import choose_terms, match_expression, snippet_of, terms_of
from emberd.index.store.batch import normalised
from emberd.index.upkeep.probe import next_ef
from emberd.index.upkeep.schedule import Changes, is_checkpoint_due, is_rebuild_due, wait_s

SETTINGS = IndexSettings()

plain = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.text(max_size=5),
    st.floats(allow_nan=False, allow_infinity=False),
)  # fmt: skip
maps = st.dictionaries(
    st.text(min_size=1, max_size=5),
    st.recursive(
        plain,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text(min_size=1, max_size=3), inner, max_size=3)
        ),
        max_leaves=8,
    ),
    max_size=5,
)


@pytest.mark.parametrize("name", ["docs", "a", "0", "a.b-c_d", "x" * 64, "a..b"])
def test_plain_names_are_taken(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".hidden", "../x", "a/b", "a\\b", "Docs", "ü", "a b", "a\0", "x" * 65, "-a",
     "a\n", 7, None],
)  # fmt: skip
def test_a_name_that_could_leave_the_folder_is_refused(name: object) -> None:
    with pytest.raises(InvalidParamsError):
        check_name(name)


def test_a_name_that_is_not_there_brings_the_nearest() -> None:
    assert "'docs'" in not_found("dosc", ["docs", "notes"]).message


@pytest.mark.parametrize("bad", ["", "a\0b", "\ud800", 3, None, "x" * 1_025])
def test_an_id_that_cannot_be_one_is_named_by_its_place(bad: object) -> None:
    with pytest.raises(InvalidParamsError) as caught:
        check_ids(["fine", bad])
    assert caught.value.details == {"field": "ids", "index": 1}


@given(maps)
def test_metadata_comes_back_as_it_was(metadata: dict) -> None:
    try:
        encoded = encode_metadata(metadata)
    except InvalidParamsError as exc:
        assert "Unicode" in exc.message  # noqa: PT017
        return
    assert decode_metadata(encoded) == metadata
    shuffled = dict(reversed(list(metadata.items())))
    assert encode_metadata(shuffled) == encoded


@pytest.mark.parametrize(
    ("metadata", "place"),
    [
        ({"a": math.nan}, "metadata.a"),
        ({"a": {"b": [1, math.inf]}}, "metadata.a.b[1]"),
        ({"a": 1 << 63}, "metadata.a"),
        ({"a": b"x"}, "metadata.a"),
        ({"a": {1: 2}}, "metadata.a"),
        ({"": 2}, "metadata"),
        ([], "metadata"),
        ({"a": "\ud800"}, "metadata"),
        ({"a": "x" * (1 << 20)}, "metadata"),
    ],
)
def test_what_metadata_cannot_hold_is_named_by_its_place(metadata: object, place: str) -> None:
    with pytest.raises(InvalidParamsError) as caught:
        encode_metadata(metadata)
    assert caught.value.details["field"] == place


def test_nested_and_many_values_have_their_limits() -> None:
    deep: dict = {}
    for _ in range(20):
        deep = {"a": deep}
    with pytest.raises(InvalidParamsError, match="deep"):
        encode_metadata(deep)
    with pytest.raises(InvalidParamsError, match="values"):
        fields_of({"a": list(range(3_000))})


@pytest.mark.parametrize(
    ("now", "kind"),
    [
        (Situation(live=0, k=10), "nothing"),
        (Situation(live=100, k=10, allowed=0, has_graph=True), "nothing"),
        (Situation(live=5_000, k=10, has_graph=True), "exact"),
        (Situation(live=100_000, k=10), "exact"),
        (Situation(live=100_000, k=10, has_graph=True), "graph"),
        (Situation(live=100_000, k=10, has_graph=True, exact=True), "exact"),
        (Situation(live=5_000, k=10, has_graph=True, exact=False), "graph"),
        (Situation(live=5_000, k=10, exact=False), "exact"),
        (Situation(live=100_000, k=10, has_graph=True, pending=20_000), "graph"),
        (Situation(live=100_000, k=10, has_graph=True, pending=30_000), "exact"),
        (Situation(live=100_000, k=10, has_graph=True, allowed=9_000), "exact"),
        (Situation(live=20_000, k=10, has_graph=True, allowed=4_000), "exact"),
        (Situation(live=100_000, k=10, has_graph=True, allowed=30_000), "graph"),
    ],
)
def test_a_search_is_exact_where_that_is_as_quick(now: Situation, kind: str) -> None:
    assert plan_search(now).kind == kind


@given(st.lists(st.lists(st.integers(1, 50), unique=True, max_size=20), max_size=3))
def test_fusion_keeps_the_order_that_all_agree_on(rankings: list[list[int]]) -> None:
    fused = fuse(rankings)
    place = {label: rank for rank, (label, _) in enumerate(fused)}
    assert set(place) == {label for ranking in rankings for label in ranking}
    for a, b in itertools.permutations(place, 2):
        ranks = [
            (each.index(a) if a in each else 99, each.index(b) if b in each else 99)
            for each in rankings
        ]
        if all(first < second for first, second in ranks):
            assert place[a] < place[b]


def test_a_document_in_both_rankings_beats_one_in_either() -> None:
    assert fuse([[1, 2, 3], [4, 2, 5]])[0][0] == 2


def test_words_are_those_of_the_index() -> None:
    assert terms_of("Don't STOP the Café_bar 42!") == [
        "don",
        "t",
        "stop",
        "the",
        "cafe",
        "bar",
        "42",
    ]
    assert terms_of('") OR words MATCH "') == ["or", "words", "match"]
    assert match_expression(["a", "b"]) == '"a" OR "b"'


def test_common_words_are_left_out_where_telling_ones_are_there() -> None:
    frequencies = {"the": 90_000, "faster": 300, "engine": 20}
    assert choose_terms(["the", "faster", "engine"], frequencies, 100_000) == ["engine", "faster"]
    assert choose_terms(["the"], {"the": 90_000}, 100_000) == ["the"]
    assert choose_terms(["nowhere"], {}, 100_000) == []


def test_a_snippet_shows_where_the_words_are() -> None:
    text = "Introduction. " * 50 + "To make it\n  faster, raise the budget. " + "The end. " * 50
    snippet = snippet_of(text, ["faster", "budget"])
    assert "make it faster, raise the budget" in snippet
    assert snippet.startswith("…")
    assert snippet.endswith("…")
    assert len(snippet) <= 202
    assert snippet_of("short text", ["nothing"]) == "short text"
    assert snippet_of(text, []).startswith("Introduction. Introduction.")


@given(st.text(max_size=400), st.lists(st.text(max_size=5), max_size=3), st.integers(10, 300))
def test_a_snippet_is_part_of_its_text(text: str, terms: list[str], width: int) -> None:
    snippet = snippet_of(text, [term for term in terms if term], width)
    part = snippet.removeprefix("…").removesuffix("…").strip() if len(text) > width else snippet
    assert "".join(part.split()) in "".join(text.split())


def test_results_are_those_of_the_newest_version_only() -> None:
    cache = ResultCache[str](100)
    cache.put(1, "a", "old", 10)
    assert cache.get(1, "a") == "old"
    assert cache.get(2, "a") is None
    cache.put(2, "b", "new", 10)
    assert cache.get(2, "a") is None
    assert cache.get(1, "a") is None
    cache.put(1, "a", "late", 10)
    assert cache.get(1, "a") is None
    assert cache.get(2, "b") == "new"


def test_results_keep_to_their_budget() -> None:
    cache = ResultCache[int](100)
    for number in range(20):
        cache.put(1, number, number, 10)
        cache.get(1, 0)
    kept = [number for number in range(20) if cache.get(1, number) is not None]
    assert kept == [0, *range(11, 20)]
    cache.put(1, "huge", 1, 101)
    assert cache.get(1, "huge") is None


def test_a_checkpoint_comes_with_time_or_with_growth() -> None:
    changes = Changes()
    assert not is_checkpoint_due(changes, 1_000, 1e9, SETTINGS)
    changes.count(1_000.0, added=5)
    assert not is_checkpoint_due(changes, 100_000, 1_299.0, SETTINGS)
    assert is_checkpoint_due(changes, 100_000, 1_300.0, SETTINGS)
    assert wait_s(changes, None, 1_100.0, SETTINGS) == 200.0
    assert wait_s(changes, 1_150.0, 1_100.0, SETTINGS) == 50.0
    changes.count(1_001.0, added=60_000)
    assert is_checkpoint_due(changes, 100_000, 1_001.0, SETTINGS)
    changes.clear()
    assert wait_s(changes, None, 0.0, SETTINGS) == math.inf


def test_a_rebuild_is_due_past_a_quarter_of_deleted() -> None:
    assert not is_rebuild_due(75_000, 25_000, SETTINGS)
    assert is_rebuild_due(74_999, 25_001, SETTINGS)
    assert not is_rebuild_due(100, 900, SETTINGS)


def test_the_probe_widens_the_search_until_enough_is_found() -> None:
    assert next_ef(None, 0.98) is None
    seen, ef = [], None
    while (wider := next_ef(ef, 0.5)) != ef:
        ef = wider
        seen.append(ef)
    assert seen == sorted(seen)
    assert seen[-1] == 768
    assert np.isfinite(seen).all()


@pytest.mark.parametrize("size", [1e-44, 1e-40, 1e-30, 1e-20, 1e-6, 1.0, 1e20, 1e38])
def test_vectors_of_any_length_are_brought_to_one(size: float) -> None:
    given = np.array([[size, 0, -size, 0]], np.float32)
    unit = normalised(given, 1, 4)
    np.testing.assert_allclose(unit, [[0.5**0.5, 0, -(0.5**0.5), 0]], rtol=1e-6)


def test_a_zero_vector_stays_and_what_is_no_number_is_named() -> None:
    assert not normalised(np.zeros((2, 4)), 2, 4).any()
    with pytest.raises(InvalidParamsError, match=r"vectors\[1\]"):
        normalised(np.array([[1, 0], [np.nan, 0]]), 2, 2)
