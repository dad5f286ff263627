"""The batch plan."""

from __future__ import annotations

from dataclasses import replace

import pytest
from engine_fakes import text_of
from hypothesis import given
from hypothesis import strategies as st

from emberd.engine.planner import Planner, PlanRules
from emberd.engine.text import Batch, Text

BUDGET = 100
LENGTHS = st.lists(st.integers(1, 150), min_size=1, max_size=80)


def planner_of(lengths: list[int], rules: PlanRules | None = None, **of: str) -> Planner:
    planner = Planner(rules)
    for length in lengths:
        planner.add(text_of(length, **of))
    return planner


def plan(planner: Planner, idle: int = 1, *, equal_only: bool = False) -> Batch | None:
    return planner.plan(lambda _: (BUDGET, equal_only), idle)


def plan_all(planner: Planner, idle: int = 1, *, equal_only: bool = False) -> list[Batch]:
    batches = []
    while (batch := plan(planner, idle, equal_only=equal_only)) is not None:
        batches.append(batch)
    return batches


def lengths_of(batch: Batch | None) -> list[int]:
    assert batch is not None
    return [text.length for text in batch.texts]


@given(LENGTHS, st.integers(1, 4))
def test_every_text_is_in_exactly_one_batch(lengths: list[int], idle: int) -> None:
    planner = planner_of(lengths)
    arrivals = sorted(text.arrival for batch in plan_all(planner, idle) for text in batch.texts)
    assert arrivals == list(range(1, len(lengths) + 1))
    assert (planner.texts, planner.tokens) == (0, 0)


@given(LENGTHS, st.integers(1, 4))
def test_the_oldest_text_is_always_in_the_next_batch(lengths: list[int], idle: int) -> None:
    waiting = set(range(1, len(lengths) + 1))
    for batch in plan_all(planner_of(lengths), idle):
        assert batch.texts[0].arrival == min(waiting)
        waiting -= {text.arrival for text in batch.texts}


@given(LENGTHS, st.integers(1, 4))
def test_a_batch_keeps_its_budget_unless_one_text_is_over_it(lengths: list[int], idle: int) -> None:
    for batch in plan_all(planner_of(lengths), idle):
        assert batch.cost <= BUDGET or len(batch.texts) == 1


@given(LENGTHS, st.integers(0, 200))
def test_each_length_that_joins_pads_by_no_more_than_a_batch_of_its_own_costs(
    lengths: list[int], overhead: int
) -> None:
    for batch in plan_all(planner_of(lengths, PlanRules(overhead_tokens=overhead))):
        assert batch.padding <= overhead * (len(set(lengths_of(batch))) - 1)


@given(LENGTHS)
def test_a_model_without_a_mask_gets_equal_lengths_only(lengths: list[int]) -> None:
    for batch in plan_all(planner_of(lengths), equal_only=True):
        assert batch.padding == 0


@given(LENGTHS)
def test_equal_lengths_go_in_order_of_arrival(lengths: list[int]) -> None:
    planned = [text for batch in plan_all(planner_of(lengths)) for text in batch.texts]
    for length in set(lengths):
        arrivals = [text.arrival for text in planned if text.length == length]
        assert arrivals == sorted(arrivals)


@given(st.lists(st.tuples(st.integers(1, 30), st.booleans()), min_size=1, max_size=60))
def test_a_discarded_text_is_never_planned(rows: list[tuple[int, bool]]) -> None:
    planner = Planner()
    kept: list[Text] = []
    for length, is_discarded in rows:
        text = text_of(length)
        planner.add(text)
        if is_discarded:
            planner.discard(text)
        else:
            kept.append(text)
    assert planner.tokens == sum(text.length for text in kept)
    planned = [text for batch in plan_all(planner) for text in batch.texts]
    assert sorted(text.arrival for text in planned) == [text.arrival for text in kept]


def test_a_full_queue_makes_batches_of_exactly_equal_length() -> None:
    planner = planner_of([10, 11, 12] * 50)
    assert lengths_of(plan(planner)) == [10] * 10


def test_the_nearest_lengths_fill_a_batch_that_equal_ones_do_not() -> None:
    assert lengths_of(plan(planner_of([20, 35, 22, 19]))) == [20, 19, 22]


def test_a_bucket_that_does_not_fit_whole_stays_for_a_batch_of_its_own() -> None:
    planner = planner_of([10, *[11] * 20])
    assert lengths_of(plan(planner)) == [10]
    assert lengths_of(plan(planner)) == [11] * 9


def test_idle_callers_share_a_short_queue() -> None:
    planner = planner_of([10] * 10, PlanRules(share_tokens=20))
    assert lengths_of(plan(planner, 2)) == [10] * 5
    assert lengths_of(plan(planner, 1)) == [10] * 5


def test_a_queue_that_is_too_short_is_not_shared() -> None:
    assert lengths_of(plan(planner_of([10] * 6, PlanRules(share_tokens=60)), 2)) == [10] * 6


def test_interactive_texts_go_ahead_of_bulk() -> None:
    planner = planner_of([10] * 40, priority="bulk")
    planner.add(text_of(7))
    assert lengths_of(plan(planner)) == [7]


def test_bulk_has_its_turn_however_many_interactive_texts_come() -> None:
    planner = planner_of([10] * 40, PlanRules(bulk_turn=4), priority="bulk")
    priorities = []
    for _ in range(12):
        planner.add(text_of(90))
        batch = plan(planner)
        assert batch is not None
        priorities.append(batch.texts[0].request.priority)
    assert [index for index, priority in enumerate(priorities) if priority == "bulk"] == [3, 7, 11]


def test_models_never_share_a_batch_and_the_oldest_goes_first() -> None:
    planner = Planner()
    for model in "abab":
        planner.add(text_of(10, model=model))
    assert [[text.request.model for text in batch.texts] for batch in plan_all(planner)] == [
        ["a", "a"],
        ["b", "b"],
    ]


def test_dropping_a_model_leaves_the_others() -> None:
    planner = planner_of([10, 11], model="a")
    planner.add(text_of(12, model="b"))
    assert [text.length for text in planner.drop("a")] == [10, 11]
    assert planner.texts == 1
    assert len(planner.drop()) == 1


def test_the_age_of_the_queue_is_that_of_its_oldest_text() -> None:
    planner = Planner()
    assert planner.oldest_s() is None
    for submitted_s, priority in ((5.0, "interactive"), (3.0, "bulk"), (9.0, "bulk")):
        text = text_of(10, priority=priority)
        text.request = replace(text.request, submitted_s=submitted_s)
        planner.add(text)
    assert planner.oldest_s() == pytest.approx(3.0)
