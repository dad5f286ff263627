"""The persistent tier against a dictionary, through random operations and restarts."""

from __future__ import annotations

import tempfile
from pathlib import Path

from cache_helpers import Clock, key, ram_folder, value
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from lmdb.verify import verify

from emberd.cache.disk import LmdbOptions, LmdbTier

BUDGET = 1 << 20

names = st.lists(st.integers(0, 30), max_size=6)
namespaces = st.sampled_from(["a", "b"])


class TierAgainstModel(RuleBasedStateMachine):
    """Within the budget the tier is the dictionary; `flood` takes it past the budget, and from
    then on it may miss, but never be wrong."""

    @initialize(ttl_s=st.sampled_from([0, 100]), slides=st.booleans())
    def start(self, ttl_s, slides):
        self.temporary = tempfile.TemporaryDirectory(dir=ram_folder())
        self.folder = Path(self.temporary.name)
        self.clock = Clock()
        self.ttl_s, self.slides = ttl_s, slides
        self.model: dict[tuple[str, object], tuple[bytes, int]] = {}
        self.has_evicted = False
        self.count = 0
        self.open()

    def open(self):
        self.tier = LmdbTier.open(
            self.folder,
            LmdbOptions(
                budget_bytes=BUDGET, ttl_s=self.ttl_s, sliding_ttl=self.slides, clock=self.clock
            ),
        )

    def expected(self, namespace, name):
        stored, born = self.model.get((namespace, name), (None, 0))
        return None if self.ttl_s and self.clock() - born >= self.ttl_s else stored

    @rule(namespace=namespaces, some=names, size=st.sampled_from([0, 100, 772, 3_000, 9_000]))
    def set_many(self, namespace, some, size):
        self.count += 1
        items = [(name, value((self.count, name), size)) for name in some]
        self.tier.set_many(namespace, [(key(name), each) for name, each in items])
        self.model.update({(namespace, name): (each, self.clock()) for name, each in items})

    @rule(namespace=namespaces, some=names)
    def get_many(self, namespace, some):
        found = self.tier.get_many(namespace, [key(name) for name in some])
        for name, each in zip(some, found, strict=True):
            expected = self.expected(namespace, name)
            assert each == expected or (each is None and self.has_evicted)
        for name, each in zip(some, found, strict=True):
            if each is not None and self.slides:
                self.model[namespace, name] = (each, self.clock())

    @rule(namespace=namespaces, some=names)
    def delete_many(self, namespace, some):
        count = self.tier.delete_many(namespace, [key(name) for name in some])
        there = {name for name in some if self.model.pop((namespace, name), None)}
        assert count <= len(there)
        assert count == len(there) or self.has_evicted or self.ttl_s

    @rule(namespace=st.one_of(namespaces, st.none()))
    def clear(self, namespace):
        self.tier.clear(namespace)
        self.model = {
            each: held for each, held in self.model.items() if namespace not in (None, each[0])
        }

    @rule(seconds=st.integers(1, 60))
    def wait(self, seconds):
        self.clock.advance(seconds)

    @rule()
    def maintain(self):
        self.tier.maintain()

    @rule()
    def reopen(self):
        self.tier.close()
        if self.slides and self.ttl_s:
            self.has_evicted = True  # slides too short to be worth a write do not outlive it
        self.open()
        assert self.tier.stats().message == ""

    @rule(namespace=namespaces)
    def flood(self, namespace):
        self.has_evicted = True
        self.count += 1
        items = [(key((self.count, at)), value(at)) for at in range(300)]
        self.tier.set_many(namespace, items)

    @invariant()
    def the_budget_is_kept_and_the_books_are_right(self):
        if not hasattr(self, "tier"):
            return
        assert (self.folder / "lmdb" / "data.mdb").stat().st_size <= BUDGET
        held = self.tier.namespaces()
        assert sum(entries for entries, _ in held.values()) == self.tier.stats().entries
        if not self.has_evicted and not self.ttl_s:
            assert self.tier.stats().entries == len(self.model)

    def teardown(self):
        if hasattr(self, "tier"):
            self.tier.close()
            assert verify(str(self.folder / "lmdb")) == []
            self.temporary.cleanup()


TierAgainstModel.TestCase.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None
)
TestTierAgainstModel = TierAgainstModel.TestCase
