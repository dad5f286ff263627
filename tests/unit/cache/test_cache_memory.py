from __future__ import annotations

import random
import tracemalloc
from sys import getsizeof

import pytest
from cache_helpers import Clock, value
from hypothesis import given, settings
from hypothesis import strategies as st

from emberd.cache.memory import MemoryTier
from emberd.cache.segment import ENTRY_BYTES, SHELF_BYTES
from emberd.records.keys import KeySpace

KIB = 1 << 10


def space(namespace: str = "default", prompt: str = "") -> KeySpace:
    return KeySpace(namespace, "f" * 32, prompt, "end", "f16")


def fill(tier: MemoryTier, where: KeySpace, names: range) -> list[str]:
    texts = [f"text {name}" for name in names]
    tier.store(where, texts, [value(text) for text in texts])
    return texts


def found(tier: MemoryTier, where: KeySpace, texts: list[str]) -> int:
    return tier.lookup(where, texts)[1]


def test_values_come_back_in_the_order_asked_and_misses_are_none():
    tier = MemoryTier(64 * KIB)
    tier.store(space(), ["a", "b"], [b"A", b"B"])
    assert tier.lookup(space(), ["b", "x", "a", "b"]) == ([b"B", None, b"A", b"B"], 3)
    assert tier.lookup(space(prompt="query: "), ["a"]) == ([None], 0)
    assert tier.lookup(space(), []) == ([], 0)


def test_a_second_store_replaces_the_first():
    tier = MemoryTier(64 * KIB)
    tier.store(space(), ["a"], [b"old"])
    tier.store(space(), ["a", "a"], [b"new", b"newest"])
    assert tier.lookup(space(), ["a"]) == ([b"newest"], 1)
    assert tier.stats().entries == 1


def test_the_budget_is_kept_and_evictions_are_counted():
    tier = MemoryTier(100 * KIB)
    fill(tier, space(), range(1_000))
    stats = tier.stats()
    assert stats.size_bytes <= stats.budget_bytes == 100 * KIB
    assert stats.entries + stats.evictions == 1_000
    assert stats.size_bytes > 98 * KIB


def test_bytes_are_counted_honestly():
    def build() -> MemoryTier:
        tier = MemoryTier(64 << 20)
        for start in range(0, 20_000, 500):
            texts = [
                f"a text of some length with the number {at}" for at in range(start, start + 500)
            ]
            tier.store(space(), texts, [bytes(772) for _ in texts])
            tier.lookup(space(), texts)
        return tier

    tracemalloc.start()
    try:
        empty = MemoryTier(64 << 20)
        base, _ = tracemalloc.get_traced_memory()
        tier = build()
        used = tracemalloc.get_traced_memory()[0] - base
    finally:
        tracemalloc.stop()
    del empty
    assert used <= tier.stats().size_bytes * 1.1


def test_a_namespace_with_a_budget_keeps_to_it_and_pushes_nobody_else_out():
    tier = MemoryTier(1_000 * KIB, namespace_budgets={"small": 50 * KIB, "free": 0})
    kept = fill(tier, space("other"), range(200))
    fill(tier, space("small"), range(1_000))
    assert found(tier, space("other"), kept) == 200
    assert tier.stats().size_bytes <= 300 * KIB


def test_namespace_budgets_that_exceed_the_whole_do_not_break_it():
    tier = MemoryTier(100 * KIB, namespace_budgets={"a": 90 * KIB, "b": 90 * KIB})
    fill(tier, space("a"), range(500))
    fill(tier, space("b"), range(500))
    assert tier.stats().size_bytes <= 100 * KIB
    assert found(tier, space("a"), [f"text {name}" for name in range(500)]) > 0


def test_a_text_that_would_push_out_too_much_is_not_admitted():
    tier = MemoryTier(100 * KIB)
    kept = fill(tier, space(), range(50))
    tier.store(space(), ["x" * 4_000], [value("x")])
    assert found(tier, space(), ["x" * 4_000]) == 0
    assert found(tier, space(), kept) == 50


def test_asked_texts_outlive_a_scan():
    tier = MemoryTier(200 * KIB)
    kept = fill(tier, space(), range(50))
    found(tier, space(), kept)
    fill(tier, space(), range(1_000, 1_200))  # the small queue turns: what was asked moves on
    found(tier, space(), kept)
    fill(tier, space(), range(2_000, 6_000))
    assert found(tier, space(), kept) >= 45


def test_clearing_one_namespace_leaves_the_others():
    tier = MemoryTier(1_000 * KIB, namespace_budgets={"b": 100 * KIB})
    for name in "abc":
        fill(tier, space(name), range(20))
    fill(tier, space("a", prompt="query: "), range(20))
    assert tier.clear("a") == 40
    assert found(tier, space("a"), ["text 1"]) == 0
    assert found(tier, space("b"), ["text 1"]) == 1
    assert tier.clear("nobody") == 0
    assert tier.clear() == 40
    assert tier.stats().entries == 0
    assert tier.stats().size_bytes == 0
    fill(tier, space("a"), range(5))
    assert tier.stats().entries == 5


def test_prompts_that_never_come_back_leave_nothing_behind():
    tier = MemoryTier(100 * KIB)
    for number in range(2_000):
        tier.store(space(prompt=f"prompt {number}"), ["text"], [value(number)])
    assert tier.stats().size_bytes <= 100 * KIB
    assert len(tier._shelves) == tier.stats().entries


def test_a_budget_of_nothing_turns_it_off():
    tier = MemoryTier(0)
    fill(tier, space(), range(5))
    assert found(tier, space(), ["text 1"]) == 0
    assert tier.stats().state == "off"


def test_values_age_and_a_new_store_makes_them_young():
    clock = Clock()
    tier = MemoryTier(64 * KIB, ttl_s=60, clock=clock)
    tier.store(space(), ["a", "b"], [b"A", b"B"])
    tier.store(space(), ["old"], [b"O"], [clock() - 50])
    clock.advance(59)
    assert tier.lookup(space(), ["a", "b", "old"]) == ([b"A", b"B", None], 2)
    tier.store(space(), ["a"], [b"A2"])
    clock.advance(1)
    assert tier.lookup(space(), ["a", "b"]) == ([b"A2", None], 1)
    assert tier.stats().expired == 2


def test_a_sliding_age_counts_from_the_last_hit():
    clock = Clock()
    tier = MemoryTier(64 * KIB, ttl_s=60, slides=True, clock=clock)
    tier.store(space(), ["a", "b"], [b"A", b"B"])
    for _ in range(5):
        clock.advance(50)
        assert tier.lookup(space(), ["a"])[1] == 1
    assert tier.lookup(space(), ["b"])[1] == 0


texts = st.integers(0, 40).map(str)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("store"), st.sampled_from("ab"), st.lists(texts, max_size=8)),
        st.tuples(st.just("lookup"), st.sampled_from("ab"), st.lists(texts, max_size=8)),
        st.tuples(st.just("clear"), st.sampled_from(["a", "b", None]), st.none()),
    ),
    max_size=60,
)


@settings(max_examples=60)
@given(steps, st.booleans())
def test_it_never_serves_a_wrong_value_and_its_books_are_right(script, has_budget):
    tier = MemoryTier(24 * KIB, namespace_budgets={"a": 12 * KIB if has_budget else 0})
    last: dict[tuple[str, str], bytes] = {}
    for at, (action, name, names) in enumerate(script):
        if action == "store":
            values = [value((at, text), 300 + at % 3) for text in names]
            tier.store(space(name), names, values)
            last.update({(name, text): each for text, each in zip(names, values, strict=True)})
        elif action == "lookup":
            for text, each in zip(names, tier.lookup(space(name), names)[0], strict=True):
                assert each is None or each == last[name, text]
        else:
            tier.clear(name)
        shelves = tier._shelves.values()
        held = [entry for shelf in shelves for entry in shelf.values.items()]
        size = sum(getsizeof(text) + getsizeof(each) + ENTRY_BYTES for text, each in held)
        assert tier.stats().size_bytes == size + SHELF_BYTES * len(shelves)
        assert tier.stats().entries == len(held)
        assert tier.stats().size_bytes <= 24 * KIB
        assert all(shelf.visited <= shelf.values.keys() for shelf in shelves)


def lru_hits(trace: list[int], capacity: int) -> int:
    kept: dict[int, None] = {}
    hits = 0
    for item in trace:
        if item in kept:
            hits += 1
            del kept[item]
        elif len(kept) == capacity:
            del kept[next(iter(kept))]
        kept[item] = None
    return hits


@pytest.mark.parametrize("scan", [0, 600])
def test_it_hits_at_least_as_often_as_lru_on_a_zipf_mix_with_scans(scan):
    chance = random.Random(7)
    population, capacity = 5_000, 500
    weights = [1 / rank**1.1 for rank in range(1, population + 1)]
    trace: list[int] = []
    for burst in range(30):
        trace += chance.choices(range(population), weights, k=2_000)
        trace += range(population + burst * scan, population + (burst + 1) * scan)
    entry = getsizeof("000000") + getsizeof(value(0)) + ENTRY_BYTES
    tier = MemoryTier(capacity * entry + SHELF_BYTES)
    hits = 0
    for item in trace:
        text = f"{item:06}"
        hit = found(tier, space(), [text])
        hits += hit
        if not hit:
            tier.store(space(), [text], [value(0)])
    assert hits >= lru_hits(trace, capacity)


def test_a_look_is_no_use_of_a_text():
    clock = Clock()
    tier = MemoryTier(64 * KIB, ttl_s=60, slides=True, clock=clock)
    tier.store(space(), ["a"], [b"A"])
    clock.advance(50)
    assert tier.peek(space(), "a") == (b"A", clock() - 50)
    assert tier.peek(space(), "x") == tier.peek(space("other"), "a") == (None, None)
    clock.advance(20)
    assert tier.peek(space(), "a") == (None, None)
    assert tier.stats().expired == 0


def test_texts_that_were_only_looked_at_are_evicted_as_any_other():
    looked_at, left_alone = MemoryTier(64 * KIB), MemoryTier(64 * KIB)
    for tier in (looked_at, left_alone):
        texts = fill(tier, space(), range(40))
        if tier is looked_at:
            assert all(tier.peek(space(), text)[0] for text in texts)
        fill(tier, space(), range(40, 80))
    assert found(looked_at, space(), texts) == found(left_alone, space(), texts)
