"""A graph in its process against a dictionary with exact search, through crashes and restarts."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import numpy as np
from graph_helpers import DIM, Reloads, clustered, exact, kill_worker, numbered
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from emberd.index.graph import Graph, GraphOptions

POOL = clustered(4_000, seed=3)
QUERIES = clustered(8, seed=4)


class GraphAgainstModel(RuleBasedStateMachine):
    """`truth` is what the owner's database would hold; after a crash it replays from that."""

    @initialize(forks=st.booleans(), threads=st.sampled_from([1, 2]))
    def start(self, forks, threads):
        self.runner = asyncio.Runner()
        self.temporary = tempfile.TemporaryDirectory()
        self.options = GraphOptions(forks=forks, threads=threads)
        self.truth: dict[int, np.ndarray] = {}
        self.dead: set[int] = set()
        self.next_label = 1
        self.hits = self.wanted = 0
        self.open()

    def open(self):
        self.reloads = Reloads()
        self.graph = self.run(
            Graph.open(
                Path(self.temporary.name), dim=DIM, options=self.options, on_reload=self.reloads
            )
        )
        self.replay()

    def run(self, work):
        return self.runner.run(work)

    async def bounded(self, work):
        return await asyncio.wait_for(work, 30)

    def replay(self):
        """What an owner does after a loading: deletions and additions that it does not hold."""
        self.dead.clear()  # an owner adds no label that it deleted, now that it may be unknown

        async def work():
            live = np.array(sorted(self.truth), np.uint64)
            assert self.graph.covered < self.next_label
            missing = await self.graph.reconcile(live)
            vectors = [self.truth[label] for label in missing.tolist()]
            await self.graph.add(missing, np.reshape(vectors, (-1, DIM)))

        self.run(work())
        self.check_labels()

    def check_labels(self):
        assert self.run(self.graph.labels()).tolist() == sorted(self.truth)

    @rule(count=st.sampled_from([1, 3, 40, 300]), gap=st.integers(0, 3))
    def add(self, count, gap):
        first = self.next_label + gap
        labels = numbered(first, count)
        vectors = POOL[labels.astype(int) % len(POOL)]
        self.next_label = first + count
        self.run(self.graph.add(labels, vectors))
        self.truth.update(zip(labels.tolist(), vectors, strict=True))

    @rule(data=st.data())
    def add_known_labels_again(self, data):
        labels = self.some(data)
        self.run(self.graph.add(labels, POOL[: len(labels)]))
        self.check_labels()

    @rule(data=st.data())
    def delete(self, data):
        labels = self.some(data).tolist()
        self.run(self.graph.mark_deleted(labels))
        self.dead.update(labels)
        for label in labels:
            self.truth.pop(label, None)

    @rule()
    def delete_before_it_is_added(self):
        labels = numbered(self.next_label, 3)
        self.next_label += 3
        self.run(self.graph.mark_deleted(labels[1:2]))
        self.run(self.graph.add(labels, POOL[:3]))
        self.truth.update({int(labels[0]): POOL[0], int(labels[2]): POOL[2]})
        self.dead.add(int(labels[1]))
        self.check_labels()

    def some(self, data) -> np.ndarray:
        known = np.array(sorted({*self.truth, *self.dead}), np.uint64)
        if not len(known):
            return known
        share = data.draw(st.sampled_from([0.01, 0.2, 0.6]))
        chance = np.random.default_rng(data.draw(st.integers(0, 99)))
        return known[chance.random(len(known)) < share]

    @rule(k=st.sampled_from([1, 10, 10, 10, 1_000]), queries=st.integers(1, 8))
    def search(self, k, queries):
        self.check(k, QUERIES[:queries], None)

    @rule(
        k=st.sampled_from([1, 10]), queries=st.integers(1, 8), every=st.sampled_from([1, 2, 5, 50])
    )
    def search_with_a_filter(self, k, queries, every):
        allowed = np.arange(1, self.next_label + 5, every, dtype=np.uint64)
        self.check(k, QUERIES[:queries], allowed)

    def check(self, k, queries, allowed):
        labels, scores = self.run(self.graph.search(queries, k, allowed=allowed))
        live = np.array(sorted(self.truth), np.uint64)
        if allowed is not None:
            live = live[np.isin(live, allowed)]
        assert labels.shape == (len(queries), min(k, len(live)))
        assert np.isin(labels, live).all()
        if not labels.size:
            return
        assert all(len(set(row)) == len(row) for row in labels.tolist())
        vectors = np.array([self.truth[label] for label in live.tolist()])
        cosines = queries @ vectors.T
        places = np.searchsorted(live, labels)
        assert np.allclose(scores, np.take_along_axis(cosines, places, 1), atol=1e-5)
        true = exact(queries, live, vectors, k)
        # Equal vectors may stand for each other.
        worst = cosines.max(axis=1) if k == 1 else np.sort(cosines, axis=1)[:, -labels.shape[1]]
        self.hits += int((scores >= worst[:, None] - 1e-5).sum())
        self.wanted += true.size

    @rule()
    def checkpoint(self):
        covered = self.run(self.graph.checkpoint())
        assert covered == self.graph.covered < self.next_label

    @rule()
    def crash(self):
        kill_worker(self.graph)
        covered = self.run(self.reloads.next())
        assert covered == self.graph.covered
        found = set(self.run(self.graph.labels()).tolist())
        assert found <= {*self.truth}, "a deleted label came back"
        assert {label for label in self.truth if label <= covered} <= found
        self.graph._keeper._policy.losses = 0  # its owner would have waited
        self.replay()

    @rule(checkpoint=st.booleans())
    def reopen(self, checkpoint):
        self.run(self.graph.close(checkpoint=checkpoint))
        self.open()

    @rule()
    @precondition(lambda self: len(self.truth) > 500)
    def rebuild(self):
        self.run(self.graph.clear())
        self.replay()

    @rule()
    def writes_and_searches_at_the_same_time(self):
        first = self.next_label
        self.next_label += 200
        labels = numbered(first, 200)
        vectors = POOL[labels.astype(int) % len(POOL)]

        async def work():
            found = await asyncio.gather(
                self.graph.add(labels, vectors),
                self.graph.mark_deleted(labels[::2]),
                self.graph.checkpoint(),
                *(self.graph.search(QUERIES, 10) for _ in range(5)),
                return_exceptions=True,
            )
            assert not [each for each in found if isinstance(each, Exception)], found

        self.run(work())
        self.dead.update(labels[::2].tolist())
        self.truth.update(zip(labels[1::2].tolist(), vectors[1::2], strict=True))
        self.check_labels()

    def teardown(self):
        if not hasattr(self, "runner"):
            return
        try:
            self.run(self.graph.close(checkpoint=False))
            if self.wanted:
                assert self.hits / self.wanted >= 0.95
        finally:
            self.runner.close()
            self.temporary.cleanup()


GraphAgainstModel.TestCase.settings = settings(
    max_examples=8, stateful_step_count=20, deadline=None
)
TestGraphAgainstModel = GraphAgainstModel.TestCase
