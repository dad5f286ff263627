from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from emberd.index.graph.scan import best_of


@given(
    st.integers(1, 4),
    st.lists(st.integers(0, 9), min_size=1, max_size=5),
    st.integers(0, 99),
    st.data(),
)
def test_the_best_of_all_blocks_are_those_of_a_full_sort(queries, sizes, seed, data):
    total = sum(sizes)
    if not total:
        return
    k = data.draw(st.integers(1, total))
    chance = np.random.default_rng(seed)
    vectors = chance.standard_normal((total, 4)).astype(np.float32)
    asked = chance.standard_normal((queries, 4)).astype(np.float32)
    slots = chance.permutation(1_000)[:total]
    edges = np.cumsum([0, *sizes])
    blocks = [(slots[start:end], vectors[start:end]) for start, end in pairwise(edges)]
    found, scores = best_of(asked, k, blocks)
    true = asked @ vectors.T
    order = np.argsort(-true, axis=1)[:, :k]
    assert np.allclose(scores, np.take_along_axis(true, order, 1), atol=1e-5)
    assert (np.diff(scores, axis=1) <= 0).all()
    place = {int(slot): at for at, slot in enumerate(slots)}
    for row, each in enumerate(found):
        assert len(set(each.tolist())) == k
        assert np.allclose([true[row, place[slot]] for slot in each.tolist()], scores[row])
