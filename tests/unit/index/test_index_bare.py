"""Searches for ids and scores alone: answered from memory, and never otherwise than any other."""

from __future__ import annotations

import asyncio
import sys

import numpy as np
import pytest
from index_helpers import DIM, Graphs, collection, many, opened, unit

from emberd.config import IndexSettings
from emberd.errors import InvalidParamsError
from emberd.index.residence import Residence
from emberd.index.store.transaction import Transaction

SETTINGS = IndexSettings(exact_below=50, probe_s=0, query_cache_mib=0)
IDS = [f"d{number:04}" for number in range(300)]
VECTORS = many(300)
QUERIES = many(8, seed=77)


@pytest.fixture
def graphs():
    return Graphs()


def current(c):
    return c._collections["docs"].residence.current


def view(c):
    return current(c).store.view


async def caught_up(c):
    """The graph has every document, and the view every id."""
    await c.info("docs")
    await c._collections["docs"].residence._scrubbing
    await current(c).feeder.settle()
    assert current(c).searcher.has_names


async def ids(c, queries=QUERIES, k=10, **options):
    return await c.search("docs", queries, k, include=(), **options)


async def assert_alike(c, queries=QUERIES, k=10, **options):
    bare = await ids(c, queries, k, **options)
    dressed = await c.search("docs", queries, k, **options)
    assert [[hit.id for hit in hits] for hits in bare] == [[hit.id for hit in h] for h in dressed]
    # One may come from the graph and the other from an exact search, whose last bits differ.
    for some, others in zip(bare, dressed, strict=True):
        assert [hit.score for hit in some] == pytest.approx([hit.score for hit in others], abs=1e-6)
    assert all(hit.text is None and hit.metadata is None for hits in bare for hit in hits)
    return bare


def without_database(monkeypatch, c):
    """From here on a read of the database fails the test."""

    def lease():
        raise AssertionError("a bare search asked the database")

    monkeypatch.setattr(current(c).store.readers, "lease", lease)


async def test_they_find_what_every_search_finds_whatever_was_written(folder, graphs):
    async with collection(folder, settings=SETTINGS, graph=graphs) as c:
        assert await ids(c) == [[]] * 8
        await c.upsert("docs", IDS, VECTORS, IDS)
        await caught_up(c)
        await assert_alike(c)
        await c.upsert("docs", IDS[50:80], -VECTORS[50:80], ["changed"] * 30)
        await assert_alike(c)
        await c.delete("docs", IDS[:50])
        await assert_alike(c)
        await caught_up(c)
        await assert_alike(c)
        await c.rebuild("docs")
        assert not view(c).dead
        await assert_alike(c)
        await c.upsert("docs", ["new"], QUERIES[:1])
        assert (await assert_alike(c))[0][0].id == "new"
        await c.check("docs")
        await assert_alike(c)
    async with opened(folder, settings=SETTINGS, graph=graphs) as c:
        await assert_alike(c)
        await caught_up(c)
        assert (await assert_alike(c))[0][0].id == "new"


async def test_they_keep_to_k_to_the_least_score_and_to_what_there_is(folder, graphs):
    async with collection(folder, settings=SETTINGS, graph=graphs) as c:
        await c.upsert("docs", IDS[:60], VECTORS[:60])
        await c.upsert("docs", ["twin 1", "twin 2"], np.repeat(VECTORS[:1], 2, axis=0))
        await caught_up(c)
        assert [len(hits) for hits in await assert_alike(c, k=1_000)] == [62] * 8
        found = await assert_alike(c, k=30, min_score=0.2)
        assert all(hit.score >= 0.2 for hits in found for hit in hits)
        assert await ids(c, min_score=1.5) == [[]] * 8
        twins = await assert_alike(c, VECTORS[:1], 3)
        assert [hit.id for hit in twins[0]] == [IDS[0], "twin 1", "twin 2"]
        assert await ids(c, np.zeros((0, DIM))) == []
        await c.delete("docs", where={})
        assert await ids(c) == [[]] * 8


async def test_once_the_ids_are_in_memory_the_database_is_not_asked(folder, graphs, monkeypatch):
    async with collection(folder, settings=SETTINGS, graph=graphs) as c:
        await c.upsert("docs", IDS, VECTORS)
    async with opened(folder, settings=SETTINGS, graph=graphs) as c:
        await caught_up(c)
        await c.upsert("docs", ["late"], QUERIES[:1])
        await c.delete("docs", IDS[:9])
        expected = await assert_alike(c)
        without_database(monkeypatch, c)
        assert await ids(c) == expected
        assert expected[0][0].id == "late"


async def test_until_then_it_is_asked_and_the_answer_is_the_same(folder, graphs, monkeypatch):
    async with collection(folder, settings=SETTINGS, graph=graphs) as c:
        await c.upsert("docs", IDS, VECTORS)
        await caught_up(c)
        expected = await ids(c)
    gate = asyncio.Event()
    scrub = Residence._scrub

    async def late(self):
        await gate.wait()
        await scrub(self)

    monkeypatch.setattr(Residence, "_scrub", late)
    async with opened(folder, settings=SETTINGS, graph=graphs) as c:
        await c.info("docs")
        await current(c).feeder.settle()
        assert not current(c).searcher.has_names
        assert await ids(c) == expected
        gate.set()
        await caught_up(c)
        assert await ids(c) == expected
        view(c).names[::7] = None  # as if it had been copied before they were filled in
        assert await ids(c) == expected


async def test_ids_that_a_growing_view_left_behind_are_read_again(folder, graphs, monkeypatch):
    from emberd.index.store.snapshot import Snapshot

    async with collection(folder, settings=SETTINGS, graph=graphs) as c:
        await c.upsert("docs", IDS, VECTORS)
    read_names, lost = Snapshot.read_names, []

    def into_an_old_copy(self, labels):
        if not lost:
            lost.extend(labels)
        else:
            read_names(self, labels)

    monkeypatch.setattr(Snapshot, "read_names", into_an_old_copy)
    async with opened(folder, settings=SETTINGS, graph=graphs) as c:
        await caught_up(c)
        assert lost
        assert view(c).names.tolist() == IDS


async def test_of_a_group_in_which_one_write_fails_the_others_keep_their_ids(
    folder, graphs, monkeypatch
):
    insert = Transaction._insert

    def failing(self, batch, indices):
        insert(self, batch, indices)
        if "bad" in batch.ids:
            raise InvalidParamsError("bad luck")

    monkeypatch.setattr(Transaction, "_insert", failing)
    async with collection(folder, settings=SETTINGS, graph=graphs) as c:
        await caught_up(c)
        names = [*IDS[:40], "bad", *IDS[40:90]]
        vectors = many(len(names), seed=3)
        await asyncio.gather(
            *(c.upsert("docs", [name], vectors[n : n + 1]) for n, name in enumerate(names)),
            return_exceptions=True,
        )
        await caught_up(c)
        without_database(monkeypatch, c)
        for name, hits in zip(names, await ids(c, vectors, 1), strict=True):
            assert (hits[0].id == name) == (name != "bad")


@pytest.mark.parametrize("include", [(), ("text",)])
async def test_what_is_updated_while_the_graph_answers_does_not_vanish(
    folder, graphs, monkeypatch, include
):
    async with collection(folder, settings=SETTINGS, graph=graphs) as c:
        await c.upsert("docs", IDS, VECTORS, IDS)
        await caught_up(c)
        search = graphs.last.search

        async def slow(queries, k, **options):
            monkeypatch.setattr(graphs.last, "search", search)
            await c.upsert("docs", IDS[:1], VECTORS[:1], ["changed"])
            await current(c).feeder.settle()
            await c.upsert("docs", IDS[1:2], VECTORS[1:2], ["changed too"])
            graphs.last._delete({1, 2})
            return await search(queries, k, **options)

        monkeypatch.setattr(graphs.last, "search", slow)
        found = await c.search("docs", VECTORS[:2], 5, include=include)
        assert [hits[0].id for hits in found] == IDS[:2]
        assert all(len({hit.id for hit in hits}) == 5 for hits in found)


@pytest.mark.parametrize("include", [(), ("text",)])
async def test_a_graph_that_begins_anew_before_it_answers_is_not_believed(
    folder, graphs, monkeypatch, include
):
    async with collection(folder, settings=SETTINGS, graph=graphs) as c:
        await c.upsert("docs", IDS, VECTORS, IDS)
        await caught_up(c)
        expected = [[hit.id for hit in hits] for hits in await ids(c)]
        search = graphs.last.search

        async def of_a_few(queries, k, **options):
            current(c).feeder._mirror._applied = 40
            graphs.last._delete(set(range(41, 301)))
            return await search(queries, k, **options)

        monkeypatch.setattr(graphs.last, "search", of_a_few)
        found = await c.search("docs", QUERIES, 10, include=include)
        assert [[hit.id for hit in hits] for hits in found] == expected


async def test_the_ids_are_counted_in_the_memory(folder):
    async with collection(folder) as c:
        assert c.stats().collections[0].memory_bytes == 0
        names = [f"{'x' * (n % 50)}{n}" for n in range(5_000)]
        await c.upsert("docs", names, np.repeat(unit(1), 5_000, axis=0))
        counted = c.stats().collections[0].memory_bytes
        true = view(c).names.nbytes + sum(map(sys.getsizeof, names))
        assert 0.8 * true < counted < 1.2 * true
    async with opened(folder) as c:
        assert c.stats().collections[0].memory_bytes == 0  # it is not open
