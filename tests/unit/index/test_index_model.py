"""Collections against a dictionary: random writes, searches, restarts, crashes and lost graphs."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from index_helpers import DIM, Graphs, Told, many, temporary_folder, unit

from emberd.config import IndexSettings
from emberd.errors import GraphLostError
from emberd.index import Collections

IDS = [f"id {number} ä\n'\"" for number in range(40)]

some_ids = st.lists(st.sampled_from(IDS), max_size=25)
seeds = st.integers(0, 30)
langs = st.sampled_from(["en", "de", "fr"])
words = st.sampled_from(["plum", "apple", "pear", None])


class CollectionsAgainstDictionary(RuleBasedStateMachine):
    """Whatever happens, the collection is the dictionary. Runs against the stand-in graph, which
    searches exactly: so the answers are known to the last document."""

    graphs: Graphs

    @initialize(has_graph=st.booleans(), dtype=st.sampled_from(["f32", "f32", "f16"]))
    def start(self, has_graph, dtype):
        self.runner = asyncio.Runner()
        self.temporary = temporary_folder()
        self.folder = Path(self.temporary.name) / "0"
        self.graphs = Graphs()
        self.has_graph = has_graph
        self.settings = IndexSettings(exact_below=12, probe_s=0, dtype=dtype)
        self.number = np.float32 if dtype == "f32" else np.float16
        self.tolerance = 1e-5 if dtype == "f32" else 3e-3
        self.model: dict[str, tuple[np.ndarray, str | None, dict]] = {}
        self.told = Told([])
        self.moves = 0
        self.do(self.open(create=True))

    def do(self, coroutine):
        return self.runner.run(coroutine)

    async def open(self, create=False):
        self.c = Collections(
            self.folder,
            self.settings,
            self.told,
            open_graph=self.graphs if self.has_graph else None,
        )
        await self.c.open()
        if create:
            await self.c.create("docs", model="m", fingerprint="f", dim=DIM)
        await self.c.info("docs")

    @property
    def feeder(self):
        return self.c._collections["docs"].residence.current.feeder

    @property
    def is_lost(self):
        return self.graphs.last.state == "restarting"

    @rule(ids=some_ids, seed=seeds, word=words, lang=langs)
    def upsert(self, ids, seed, word, lang):
        vectors = many(len(ids), seed=seed).reshape(len(ids), DIM)
        texts = [word and f"{word} {name}" for name in ids]
        metadata = [{"lang": lang, "seed": seed}] * len(ids)
        result = self.do(self.c.upsert("docs", ids, vectors, texts, metadata))
        fresh = {
            name: (vector.astype(self.number), text, each)
            for name, vector, text, each in zip(ids, vectors, texts, metadata, strict=True)
        }
        assert result.inserted == len(fresh.keys() - self.model.keys())
        assert result.inserted + result.updated + result.unchanged == len(fresh)
        self.model |= fresh

    @rule(ids=some_ids)
    def delete(self, ids):
        count = self.do(self.c.delete("docs", ids))
        assert count == len(self.model.keys() & set(ids))
        for name in ids:
            self.model.pop(name, None)

    @rule(lang=langs)
    def delete_where(self, lang):
        gone = [name for name, (_, _, each) in self.model.items() if each["lang"] == lang]
        assert self.do(self.c.delete("docs", where={"lang": lang})) == len(gone)
        for name in gone:
            del self.model[name]

    @rule(seed=st.integers(100, 200), k=st.integers(1, 60), lang=st.one_of(st.none(), langs))
    def search(self, seed, k, lang):
        queries = unit(seed, seed + 1)
        where = None if lang is None else {"lang": lang}
        found = self.do(self.c.search("docs", queries, k, where=where))
        allowed = {
            name: vector
            for name, (vector, _, each) in self.model.items()
            if lang is None or each["lang"] == lang
        }
        for query, hits in zip(queries, found, strict=True):
            scores = {name: float(vector @ query) for name, vector in allowed.items()}
            best = sorted(scores.values(), reverse=True)[:k]
            np.testing.assert_allclose([hit.score for hit in hits], best, atol=self.tolerance)
            assert len({hit.id for hit in hits}) == len(hits)
            for hit in hits:
                assert abs(scores[hit.id] - hit.score) < self.tolerance
                assert (hit.text, hit.metadata) == self.model[hit.id][1:]
        bare = self.do(self.c.search("docs", queries, k, where=where, include=()))
        for hits, dressed in zip(bare, found, strict=True):
            self.assert_alike(hits, dressed)

    def assert_alike(self, bare, dressed):
        """The same search with less in its hits; those of equal scores may change places."""
        scores = [hit.score for hit in dressed]
        np.testing.assert_allclose([hit.score for hit in bare], scores, atol=self.tolerance)
        last = min(scores, default=0.0) + self.tolerance
        above = {hit.id for hit in bare if hit.score > last}
        assert above == {hit.id for hit in dressed if hit.score > last}
        assert len({hit.id for hit in bare}) == len(bare)
        for hit in bare:
            assert (hit.text, hit.metadata) == (None, None)

    @rule()
    def bring_all_ids_into_memory(self):
        async def scrubbed():
            await self.c._collections["docs"].residence._scrubbing

        self.do(scrubbed())

    @rule(word=st.sampled_from(["plum", "apple", "pear"]))
    def find_words(self, word):
        hits = self.do(
            self.c.search("docs", unit(5), 99, query_texts=[word], hybrid=True, explain=True)
        )[0]
        found = {hit.id for hit in hits if hit.explain["word_rank"]}
        assert found == {
            name for name, (_, text, _) in self.model.items() if text and text.startswith(word)
        }

    @rule()
    def settle(self):
        self.do(self.feeder.settle())

    @rule()
    def rebuild(self):
        try:
            self.do(self.c.rebuild("docs"))
        except GraphLostError:
            assert self.is_lost

    @rule()
    def check(self):
        report = self.do(self.c.check("docs"))
        assert report.is_sound or (self.is_lost and "lost" in report.found[0]), report
        assert report.documents == report.vectors == len(self.model)

    @rule()
    def restart(self):
        self.do(self.c.close())
        self.do(self.open())

    @rule()
    def crash(self):
        """Go on with a copy of the files as they are now: what kill -9 leaves behind."""
        self.moves += 1
        copy = Path(self.temporary.name) / str(self.moves)
        shutil.copytree(self.folder, copy)
        self.do(self.c.close())
        shutil.rmtree(self.folder)
        self.folder = copy
        self.do(self.open())

    @precondition(lambda self: self.graphs.opened and self.graphs.last.state == "ok")
    @rule()
    def checkpoint(self):
        self.do(self.graphs.last.checkpoint())

    @precondition(lambda self: self.graphs.opened and self.graphs.last.state == "ok")
    @rule()
    def lose_the_graph(self):
        self.graphs.last.lose()

    @precondition(lambda self: self.graphs.opened and self.graphs.last.state == "restarting")
    @rule()
    def the_graph_comes_back(self):
        async def come_back():
            self.graphs.last.come_back()

        self.do(come_back())

    @invariant()
    def it_is_the_dictionary(self):
        if not hasattr(self, "c"):
            return
        documents, cursor = self.do(
            self.c.scan("docs", limit=100, include=["text", "metadata", "vector"])
        )
        assert cursor is None
        assert len(documents) == len(self.model)
        for each in documents:
            vector, text, metadata = self.model[each.id]
            assert (each.text, each.metadata) == (text, metadata)
            np.testing.assert_array_equal(each.vector, vector.astype(np.float32))
        assert not [note for note in self.told.notes if note[1] == "index.damaged"]

    def teardown(self):
        if hasattr(self, "c"):
            self.do(self.c.close())
            self.runner.close()
            self.temporary.cleanup()


CollectionsAgainstDictionary.TestCase.settings = settings(
    max_examples=30, stateful_step_count=30, deadline=None
)
TestCollectionsAgainstDictionary = CollectionsAgainstDictionary.TestCase
