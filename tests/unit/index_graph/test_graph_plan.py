from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from emberd.index.graph.plan import default_ef, plan_search

N = 100_000


def plan(*, queries=1, k=10, ef=None, live=N, allowed=None, threads=2):
    return plan_search(queries=queries, k=k, ef=ef, live=live, allowed=allowed, threads=threads)


@st.composite
def searches(draw):
    live = draw(st.integers(1, 2_000_000))
    allowed = draw(st.none() | st.integers(1, live))
    return {
        "queries": draw(st.integers(1, 128)),
        "k": draw(st.integers(1, allowed or live)),
        "ef": draw(st.none() | st.integers(1, 2_000)),
        "live": live,
        "allowed": allowed,
        "threads": draw(st.integers(1, 64)),
    }


@given(searches())
def test_a_walk_can_always_give_what_is_asked_for(search):
    found = plan_search(**search)
    if not found.is_exact:
        assert search["k"] <= found.fetch <= search["live"]
        assert found.ef >= found.fetch
        assert found.ef >= (search["ef"] or default_ef(search["k"]))


@given(searches())
def test_fewer_allowed_are_never_a_reason_to_walk(search):
    if search["allowed"] is None or not plan_search(**search).is_exact:
        return
    fewer = max(search["k"], search["allowed"] // 2)
    assert plan_search(**{**search, "allowed": fewer}).is_exact


def test_a_large_graph_is_walked_and_a_narrow_filter_scored():
    assert not plan().is_exact
    assert not plan(allowed=N // 2).is_exact
    assert plan(allowed=N // 100).is_exact
    assert plan(live=100).is_exact


def test_almost_everything_is_scored_when_it_is_asked_for():
    assert plan(k=N // 2).is_exact


def test_a_wish_for_more_candidates_is_followed():
    assert plan(ef=500).ef == 500
    assert plan(ef=1).ef == 10
