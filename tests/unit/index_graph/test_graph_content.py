from __future__ import annotations

import numpy as np
import pytest
from graph_helpers import DIM, clustered, exact, make_content, numbered, recall
from hypothesis import given, settings
from hypothesis import strategies as st

from emberd.index.graph.layout import FileLayout, LayoutError, MappedVectors, rows_of_slots
from emberd.index.graph.shelf import VectorShelf

N = 6_000


@pytest.fixture(scope="module")
def content():
    """Shared: these tests read only."""
    return make_content(N)


@pytest.fixture(scope="module")
def vectors():
    return clustered(N)


def test_a_search_finds_the_nearest(content, vectors):
    queries = clustered(40, seed=1)
    labels, scores = content.search(queries, 10, None, None)
    assert recall(labels, exact(queries, numbered(1, N), vectors, 10)) >= 0.95
    assert (np.diff(scores, axis=1) <= 1e-6).all()
    cosines = np.take_along_axis(queries @ vectors.T, labels.astype(int) - 1, 1)
    assert np.allclose(scores, cosines, atol=1e-5)


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.3, 0.5, 0.95, 1])
@pytest.mark.parametrize("queries", [1, 40])
def test_a_filter_of_any_share_is_kept_and_filled(content, vectors, share, queries):
    chance = np.random.default_rng(2)
    allowed = np.sort(chance.choice(numbered(1, N), int(N * share), replace=False))
    asked = clustered(queries, seed=3)
    labels, _ = content.search(asked, 10, None, allowed)
    assert labels.shape == (queries, min(10, len(allowed)))
    assert np.isin(labels, allowed).all()
    assert recall(labels, exact(asked, allowed, vectors[allowed.astype(int) - 1], 10)) >= 0.95


def test_a_filter_that_shuns_the_neighbourhood_is_filled_all_the_same(content, vectors):
    query = vectors[:1]
    far = exact(query, numbered(1, N), vectors, N)[0, N // 2 :]
    labels, _ = content.search(query, 10, None, far)
    assert labels[0].tolist() == far[:10].tolist()


def test_all_that_there_is_can_be_asked_for(content, vectors):
    labels, _ = content.search(vectors[:2], 2 * N, None, None)
    assert [sorted(row) for row in labels.tolist()] == [list(range(1, N + 1))] * 2


def test_vectors_that_the_walk_cannot_reach_are_found_when_they_are_wanted():
    content = make_content()
    same = np.repeat(clustered(1), 600, axis=0)  # equal vectors link only to each other
    other = clustered(30, seed=5)
    content.add(numbered(1, 600), same)
    content.add(numbered(601, 30), other)
    labels, _ = content.search(other, 1, None, None)
    found, _ = content.search(other, 620, 620, None)
    assert labels.shape == (30, 1)
    assert found.shape == (30, 620)
    assert all(len(set(row)) == 620 for row in found.tolist())


def test_deleted_labels_are_not_found_nor_added_again(vectors):
    content = make_content(500)
    assert content.delete(numbered(1, 400)) == 400
    assert content.delete(numbered(1, 400)) == 0
    assert content.add(numbered(1, 500), vectors[:500]) == 0
    for allowed in (None, numbered(1, 450)):
        labels, _ = content.search(vectors[:5], 200, None, allowed)
        assert labels.min() > 400
        assert labels.shape[1] == (100 if allowed is None else 50)


def test_a_label_that_was_deleted_before_it_came_stays_away(vectors):
    content = make_content(10)
    content.delete(numbered(11, 1))
    assert content.add(numbered(11, 2), vectors[10:12]) == 1
    assert content.search(vectors[10:11], 20, None, None)[0].max() == 12
    assert 11 not in content.search(vectors[10:11], 20, None, None)[0]


def test_known_labels_keep_their_first_vector(vectors):
    content = make_content(10)
    assert content.add(numbered(5, 10), vectors[100:110]) == 4
    labels, scores = content.search(clustered(10)[4:5], 1, None, None)
    assert labels[0, 0] == 5
    assert scores[0, 0] == pytest.approx(1, abs=1e-5)


def test_an_empty_graph_answers_with_nothing(content):
    empty = make_content()
    assert empty.search(clustered(3), 10, None, None)[0].shape == (3, 0)
    assert content.search(clustered(0), 10, None, None)[0].shape == (0, 10)
    assert content.search(clustered(3), 10, None, numbered(N + 1, 5))[0].shape == (3, 0)


def mapped(folder, count: int):
    content = make_content(count)
    file = folder / "graph"
    content.graph.save(file)
    layout = FileLayout.read(file, DIM)
    return content, MappedVectors(file, layout, DIM, rows_of_slots(file, layout))


def test_a_saved_graph_gives_its_vectors_though_its_file_is_gone(tmp_path):
    _, vectors = mapped(tmp_path, 3_000)
    (tmp_path / "graph").unlink()
    slots = np.array([0, 7, 7, 2_999])
    assert np.array_equal(vectors.gather(slots), clustered(3_000)[slots])


def test_the_shelf_lets_go_of_what_the_file_has_and_finds_everything(tmp_path):
    content, vectors = mapped(tmp_path, 3_000)
    more = clustered(1_500, seed=8)
    content.add(numbered(3_001, 1_500), more)
    content.shelf.rebase(vectors)
    again = clustered(10, seed=9)
    content.add(numbered(4_501, 10), again)
    everything = np.concatenate([clustered(3_000), more, again])
    assert np.array_equal(content.shelf.gather(np.arange(4_510)), everything)
    some = np.array([0, 2_999, 3_000, 4_023, 4_024, 4_499, 4_500, 4_509])
    assert np.array_equal(content.shelf.gather(some), everything[some])
    assert content.shelf.gather(np.arange(0)).shape == (0, DIM)


@given(st.lists(st.integers(0, 1_500), max_size=5), st.integers(0, 9))
@settings(max_examples=30)
def test_the_shelf_keeps_what_it_was_given(sizes, seed):
    shelf = VectorShelf(3)
    parts = [np.random.default_rng(seed).random((size, 3), np.float32) for size in sizes]
    for part in parts:
        shelf.append(part)
    everything = np.concatenate([np.empty((0, 3), np.float32), *parts])
    assert np.array_equal(shelf.gather(np.arange(len(everything))), everything)
    assert np.array_equal(shelf.gather(np.arange(0, len(everything), 7)), everything[::7])


def test_other_files_have_no_layout(tmp_path):
    mapped(tmp_path, 50)
    file = tmp_path / "graph"
    whole = file.read_bytes()
    for dim in (DIM - 1, DIM + 1):
        with pytest.raises(LayoutError):
            FileLayout.read(file, dim)
    for size in (0, 95, 96, 3_000):
        file.write_bytes(whole[:size])
        with pytest.raises(LayoutError):
            FileLayout.read(file, DIM)
    file.write_bytes(whole)
    layout = FileLayout.read(file, DIM)
    twice = bytearray(whole)
    second = layout.label_offset + layout.record_bytes
    twice[layout.label_offset : layout.label_offset + 8] = whole[second : second + 8]
    file.write_bytes(twice)
    with pytest.raises(LayoutError):
        rows_of_slots(file, layout)
