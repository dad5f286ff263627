"""Exact search against the simplest thing that could be right."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from index_helpers import many

from emberd.index.search.exact import search_mask, search_rows
from emberd.index.store.layout import RowLayout
from emberd.index.store.view import View


def view_of(vectors: np.ndarray, alive: np.ndarray, dtype: str = "f32") -> View:
    labels = np.arange(1, len(vectors) + 1, dtype=np.uint64) * 3
    layout = RowLayout(vectors.shape[1], dtype)
    return View(
        1,
        layout.rows_of(labels, vectors),
        labels,
        np.array([str(label) for label in labels], np.object_),
        alive,
        int(alive.sum()),
        int(alive.sum()),
    )


def expected(view: View, query: np.ndarray, k: int, mask: np.ndarray) -> list[int]:
    scores = view.vectors.astype(np.float32) @ query
    rows = np.flatnonzero(mask)
    return rows[np.lexsort((rows, -scores[rows]))][:k].tolist()


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(0, 5_000),
    queries=st.integers(1, 5),
    k=st.integers(1, 60),
    share=st.sampled_from([0.0, 0.001, 0.1, 0.5, 0.9, 1.0]),
    dtype=st.sampled_from(["f32", "f16"]),
    first=st.integers(0, 5_000),
)
def test_the_best_k_are_found(count, queries, k, share, dtype, first) -> None:
    vectors = many(count, seed=count).reshape(count, 8)
    mask = np.random.default_rng(k).random(count) < share
    view = view_of(vectors, mask, dtype)
    asked = many(queries, seed=count + 1)
    later = mask.copy()
    later[:first] = False
    for found, wanted in (
        (search_mask(view, asked, k, mask), mask),
        (search_mask(view, asked, k, mask, first), later),
        (search_rows(view, asked, k, np.flatnonzero(mask)), mask),
    ):
        assert len(found) == queries
        for query, each in zip(asked, found, strict=True):
            scores = view.vectors.astype(np.float32) @ query
            best = expected(view, query, k, wanted)
            assert len(each.rows) == len(best)
            np.testing.assert_allclose(each.scores, scores[each.rows], atol=1e-6)
            np.testing.assert_allclose(each.scores, scores[best], atol=1e-6)
            assert wanted[each.rows].all()
            assert len(set(each.rows.tolist())) == len(each.rows)


def test_ties_go_to_the_older_document() -> None:
    view = view_of(np.repeat(many(1), 5_000, axis=0), np.ones(5_000, bool))
    (found,) = search_mask(view, many(1), 7, view.alive)
    assert found.rows.tolist() == list(range(7))


def test_more_queries_than_a_block_are_all_answered() -> None:
    vectors = many(3_000)
    view = view_of(vectors, np.ones(3_000, bool))
    found = search_mask(view, vectors[:300], 1, view.alive)
    assert [each.rows[0] for each in found] == list(range(300))


def test_a_row_that_is_not_alive_may_hold_anything() -> None:
    vectors = many(100)
    view = view_of(vectors, np.ones(100, bool))
    view.rows["vector"][::2] = np.nan
    alive = np.arange(100) % 2 == 1
    (found,) = search_mask(view, vectors[:1], 100, alive)
    assert sorted(found.rows.tolist()) == list(range(1, 100, 2))
    assert np.isfinite(found.scores).all()


def test_labels_find_their_rows_and_gaps_find_none() -> None:
    view = view_of(many(4), np.array([True, False, True, True]))
    rows, found = view.rows_of(np.array([3, 6, 9, 4, 0, 99], np.uint64))
    assert found.tolist() == [True, False, True, False, False, False]
    assert rows[found].tolist() == [0, 2]
    assert view.mask_of(np.array([9, 6], np.uint64)).tolist() == [False, False, True, False]
    assert (view.after(0), view.after(3), view.after(100)) == (0, 1, 4)


def test_a_damaged_row_never_stands_for_the_one_before_it() -> None:
    view = view_of(many(3), np.array([True, True, False]))
    view.labels[:] = [5, 7, 7]  # as a damaged row has it
    rows, found = view.rows_of(np.array([7], np.uint64))
    assert (rows.tolist(), found.tolist()) == ([1], [True])
    assert view.mask_of(np.array([5, 7], np.uint64)).tolist() == [True, True, False]


@given(
    alive=st.lists(st.booleans(), max_size=12),
    still=st.lists(st.booleans(), min_size=12, max_size=12),
    is_rewritten=st.booleans(),
    added=st.integers(0, 5),
)
def test_what_is_gone_is_known_though_rows_have_moved(alive, still, is_rewritten, added) -> None:
    before = view_of(many(len(alive)).reshape(-1, 8), np.array(alive, bool))
    stays = before.alive & np.array(still[: len(alive)], bool)
    kept = np.flatnonzero(before.alive) if is_rewritten else np.arange(len(alive))
    after = view_of(many(len(kept) + added).reshape(-1, 8), np.ones(len(kept) + added, bool))
    after.labels[: len(kept)] = before.labels[kept]
    after.labels[len(kept) :] = 3 * (len(alive) + 1) + np.arange(added)
    after.alive[: len(kept)] = stays[kept]
    assert before.gone_from(after).tolist() == (before.alive & ~stays).tolist()
