"""A graph beside the truth: it may be behind, lost, wrong or absent, and no answer shows it."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from index_helpers import DIM, Graphs, collection, many, opened, unit

from emberd.config import IndexSettings

SETTINGS = IndexSettings(exact_below=100, probe_s=0, query_cache_mib=0)
IDS = [f"d{number:04}" for number in range(400)]
VECTORS = many(400)


@pytest.fixture
def graphs(monkeypatch):
    """No test waits a second for the next try."""
    monkeypatch.setattr("emberd.index.upkeep.feeder._FIRST_RETRY_S", 0.01)
    return Graphs()


async def fill(c, count=400, start=0):
    chosen = slice(start, start + count)
    await c.upsert(
        "docs", IDS[chosen], VECTORS[chosen], None, [{"n": n} for n in range(start, start + count)]
    )


def feeder(c):
    return c._collections["docs"].residence.current.feeder


async def settled(c):
    await feeder(c).settle()


async def best(c, query, k=10, **options):
    (hits,) = await c.search("docs", query[None, :], k, explain=True, **options)
    return [hit.id for hit in hits], {hit.explain["plan"] for hit in hits}


def truth(alive, query, k=10):
    scores = VECTORS @ query
    order = sorted(alive, key=lambda index: (-scores[index], index))
    return [IDS[index] for index in order[:k]]


async def assert_right(c, alive, plan="graph", **options):
    for seed in range(5):
        query = unit(seed)[0]
        found, plans = await best(c, query, **options)
        assert found == truth(alive, query)
        assert plans == {plan} or plan is None


async def test_a_small_collection_has_no_graph(folder, graphs):
    async with collection(folder, settings=SETTINGS, graph=graphs) as c:
        await fill(c, 99)
        await settled(c)
        assert graphs.opened == []
        await assert_right(c, range(99), "exact")
        await fill(c, 1, 99)
        await settled(c)
        await assert_right(c, range(100))
        assert c.stats().collections[0].indexed == 100


async def test_the_graph_is_asked_and_its_answers_are_those_of_exact_search(folder, graphs):
    async with collection(folder, settings=SETTINGS, graph=graphs) as c:
        await fill(c)
        await settled(c)
        await assert_right(c, range(400))
        assert graphs.last.searches == 5
        await assert_right(c, range(400), "exact", exact=True)
        assert graphs.last.searches == 5


async def test_what_the_graph_does_not_have_yet_is_found_beside_it(folder, graphs, monkeypatch):
    async with collection(folder, settings=SETTINGS, graph=graphs) as c:
        await fill(c, 300)
        await settled(c)
        gate = asyncio.Event()
        add = graphs.last.add

        async def late(labels, vectors):
            await gate.wait()
            await add(labels, vectors)

        monkeypatch.setattr(graphs.last, "add", late)
        await fill(c, 60, 300)
        await c.delete("docs", IDS[:10])
        await assert_right(c, range(10, 360))
        gate.set()
        await settled(c)
        await assert_right(c, range(10, 360))
        assert len(graphs.last.live) == 350


async def test_deleted_and_replaced_documents_never_come_back(folder, graphs, monkeypatch):
    async with collection(folder, settings=SETTINGS, graph=graphs) as c:
        await fill(c)
        await settled(c)

        async def deaf(labels):
            del labels

        monkeypatch.setattr(graphs.last, "mark_deleted", deaf)
        await c.delete("docs", IDS[:150])
        await c.upsert("docs", IDS[200:210], -VECTORS[200:210])
        await settled(c)
        for seed in range(20):
            found, _ = await best(c, unit(seed)[0], 30)
            assert len(set(found)) == len(found) == 30
            assert not set(found) & set(IDS[:150])


async def test_a_filter_is_answered_by_the_graph_or_exactly_and_rightly(folder, graphs):
    async with collection(folder, settings=SETTINGS, graph=graphs) as c:
        await fill(c)
        await settled(c)
        await assert_right(c, range(20), "exact", where={"n": {"$lt": 20}})
        await assert_right(c, range(20, 400), "graph", where={"n": {"$gte": 20}}, exact=False)
        assert graphs.last.allowed[-1].tolist() == list(range(21, 401))


async def test_a_lost_graph_costs_nothing_but_time(folder, graphs, told):
    async with collection(folder, settings=SETTINGS, graph=graphs, told=told) as c:
        await fill(c, 200)
        await settled(c)
        await graphs.last.checkpoint()
        await fill(c, 100, 200)
        await settled(c)
        graphs.last.lose()
        await assert_right(c, range(300), "exact")
        assert "index.graph_lost" in told.text()
        await c.delete("docs", IDS[:50])
        await fill(c, 100, 300)
        graphs.last.come_back()
        await assert_right(c, range(50, 400), None)
        await until(lambda: feeder(c).applied is not None)
        await settled(c)
        await assert_right(c, range(50, 400))
        assert sorted(graphs.last.live) == list(range(51, 401))
        assert c.stats().collections[0].restarts == 1


async def test_a_graph_that_came_back_by_itself_is_not_believed_before_it_is_compared(
    folder, graphs, monkeypatch
):
    async with collection(folder, settings=SETTINGS, graph=graphs) as c:
        await fill(c, 200)
        await settled(c)
        await graphs.last.checkpoint()
        await fill(c, 200, 200)
        await settled(c)
        graphs.last.lose()
        graphs.last.come_back()
        assert feeder(c).applied is None
        await assert_right(c, range(400), None)
        await settled(c)
        await assert_right(c, range(400))


async def test_a_graph_that_was_given_up_is_opened_again(folder, graphs):
    async with collection(folder, settings=SETTINGS, graph=graphs) as c:
        await fill(c)
        await settled(c)
        graphs.last.state = "off"
        await assert_right(c, range(400), None)
        await until(lambda: len(graphs.opened) == 2)
        await settled(c)
        await assert_right(c, range(400))


async def test_without_a_graph_that_starts_every_search_is_exact(folder, graphs, told):
    graphs.fails = True
    async with collection(folder, settings=SETTINGS, graph=graphs, told=told) as c:
        await fill(c)
        await settled(c)
        await assert_right(c, range(400), "exact")
        graphs.fails = False
        await c.rebuild("docs")
        await assert_right(c, range(400))


async def test_at_the_next_start_only_what_is_newer_is_added(folder, graphs, monkeypatch):
    async with collection(folder, settings=SETTINGS, graph=graphs) as c:
        await fill(c, 300)
        await settled(c)
    assert graphs.last.checkpoints == 1
    async with opened(folder, settings=SETTINGS) as c:  # writes that no graph hears of
        await fill(c, 100, 300)
        await c.delete("docs", IDS[5:25])
    added = []
    original = type(graphs.last).add

    async def counted(self, labels, vectors):
        added.extend(labels.tolist())
        await original(self, labels, vectors)

    monkeypatch.setattr(type(graphs.last), "add", counted)
    async with opened(folder, settings=SETTINGS, graph=graphs) as c:
        await c.info("docs")
        await settled(c)
        assert added == list(range(301, 401))
        await assert_right(c, [*range(5), *range(25, 400)])


async def test_past_a_quarter_of_deleted_all_is_built_anew(folder, graphs, told, monkeypatch):
    monkeypatch.setattr("emberd.index.upkeep.schedule._LEAST_DELETED", 10)
    async with collection(folder, settings=SETTINGS, graph=graphs, told=told) as c:
        await fill(c)
        await settled(c)
        await c.delete("docs", IDS[:90])
        await settled(c)
        assert graphs.last.clears == 0
        await c.delete("docs", IDS[90:120])
        await settled(c)
        assert graphs.last.clears == 1
        assert graphs.last.stats().deleted == 0
        stats = c.stats().collections[0]
        assert (stats.count, stats.deleted, stats.state) == (280, 0, "ready")
        assert "index.rebuilt" in told.text()
        await assert_right(c, range(120, 400))


async def test_a_rebuild_on_request_serves_meanwhile(folder, graphs, monkeypatch):
    async with collection(folder, settings=SETTINGS, graph=graphs) as c:
        await fill(c)
        await c.delete("docs", IDS[:5])
        await settled(c)
        gate, add = asyncio.Event(), graphs.last.add

        async def late(labels, vectors):
            await gate.wait()
            await add(labels, vectors)

        monkeypatch.setattr(graphs.last, "add", late)
        task = asyncio.create_task(c.rebuild("docs"))
        await until(lambda: feeder(c).is_rebuilding)
        assert c.stats().collections[0].state == "rebuilding"
        assert c.stats().collections[0].rebuild_ratio == 0.0
        await assert_right(c, range(5, 400), "exact")
        gate.set()
        await task
        await assert_right(c, range(5, 400))
        assert graphs.last.checkpoints == 1


async def test_a_graph_that_lacks_documents_is_found_out_by_a_check(folder, graphs):
    async with collection(folder, settings=SETTINGS, graph=graphs) as c:
        await fill(c)
        await settled(c)
        assert (await c.check("docs")).is_sound
        for label in range(50, 80):
            del graphs.last.live[label]
        report = await c.check("docs")
        assert report.found == ["the graph lacked 30 documents"]
        assert report.indexed == 400
        assert len(graphs.last.live) == 400
        assert (await c.check("docs")).is_sound


async def test_a_graph_over_the_memory_budget_is_not_opened(folder, graphs):
    settings = IndexSettings(exact_below=100, memory_mib=1, probe_s=0)
    async with collection(folder, settings=settings, graph=graphs, dim=DIM) as c:
        for name, dim in (("docs", DIM), ("wide", 4_096)):
            if name not in c.names():
                await c.create(name, model="m", fingerprint="f", dim=dim)
            await c.upsert(name, IDS[:200], many(200, dim=dim))
            await c._collections[name].residence.current.feeder.settle()
        stats = {each.name: each for each in c.stats().collections}
        assert stats["docs"].graph == "ok"
        assert stats["wide"].graph == "off"
        assert "index.memory_mib" in stats["wide"].message
        (hits,) = await c.search("wide", many(1, dim=4_096), 3)
        assert len(hits) == 3


async def test_a_checkpoint_that_fails_leaves_the_graph_in_use(folder, graphs, told):
    settings = IndexSettings(exact_below=100, checkpoint_s=0, probe_s=0)
    async with collection(folder, settings=settings, graph=graphs, told=told) as c:
        await fill(c, 100)
        await settled(c)
        assert graphs.last.checkpoints >= 1
        graphs.last.full_disk = True
        await fill(c, 100, 100)
        await until(lambda: "index.graph_unsaved" in told.text())
        await assert_right(c, range(200))
        graphs.last.full_disk = False


async def test_the_probe_measures_recall_and_widens_the_search(folder, graphs, monkeypatch):
    settings = IndexSettings(exact_below=100, probe_s=600, query_cache_mib=0)
    async with collection(folder, settings=settings, graph=graphs) as c:
        await fill(c)
        await settled(c)
        assert feeder(c).recall == 1.0
        assert feeder(c).ef is None
        search = graphs.last.search

        async def forgetful(queries, k, **options):
            labels, scores = await search(queries, k, **options)
            labels[:, 5:] = 0
            return labels, scores

        monkeypatch.setattr(graphs.last, "search", forgetful)
        feeder(c)._probe_at = 0.0
        await settled(c)
        assert feeder(c).recall < 0.6
        assert feeder(c).ef == 150
        await assert_right(c, range(400))  # too few proposals: exact
        assert c.stats().collections[0].ef == 150


async def until(is_true):
    async with asyncio.timeout(10):
        while not is_true():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.001)


def test_vectors_are_what_the_tests_think():
    assert np.allclose(np.linalg.norm(VECTORS, axis=1), 1)
