"""The graph's process killed, starved and lied to."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import shutil
import sys

import numpy as np
import psutil
import pytest
from graph_helpers import (
    DIM,
    Events,
    Reloads,
    clustered,
    kill_worker,
    make_content,
    numbered,
    opened,
)

from emberd.errors import GraphLostError, StorageError
from emberd.index.graph import Graph, restarts
from emberd.index.graph.checkpoints import Checkpoints
from emberd.index.graph.hnsw import HnswGraph


async def test_a_killed_process_comes_back_with_its_checkpoint_and_says_so(tmp_path):
    vectors, events, reloads = clustered(400), Events(), Reloads()
    async with opened(tmp_path, notify=events, on_reload=reloads) as graph:
        await graph.add(numbered(1, 200), vectors[:200])
        await graph.checkpoint()
        await graph.add(numbered(201, 200), vectors[200:])
        calls = [asyncio.create_task(graph.search(vectors[:64], 10)) for _ in range(20)]
        await asyncio.sleep(0)
        kill_worker(graph)
        for done in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(done, GraphLostError | tuple)
        assert await reloads.next() == graph.covered == 200
        assert (await graph.labels()).tolist() == list(range(1, 201))
        await replay(graph, vectors)
        labels, _ = await graph.search(vectors, 1)
        assert labels[:, 0].tolist() == list(range(1, 401))
        assert events.names() == ["graph.lost", "graph.restarted"]
        assert "SIGKILL" in events[0][1]
        assert graph.stats().restarts == 1


async def test_what_was_deleted_stays_deleted_through_a_crash(tmp_path):
    vectors, reloads = clustered(300), Reloads()
    async with opened(tmp_path, on_reload=reloads) as graph:
        await graph.add(numbered(1, 300), vectors)
        await graph.checkpoint()
        await graph.mark_deleted(numbered(1, 100))
        await graph.reconcile(numbered(1, 250))
        kill_worker(graph)
        with pytest.raises(GraphLostError):
            await graph.mark_deleted(numbered(101, 20))
        await reloads.next()
        assert (await graph.labels()).tolist() == list(range(121, 251))
        labels, _ = await graph.search(vectors, 300)
        assert (labels.min(), labels.max()) == (121, 250)


async def test_what_was_deleted_stays_deleted_when_the_newest_checkpoint_is_lost_too(tmp_path):
    reloads, events = Reloads(), Events()
    async with opened(tmp_path, on_reload=reloads, notify=events) as graph:
        await graph.add(numbered(1, 50), clustered(50))
        await graph.checkpoint()
        await graph.mark_deleted(numbered(1, 10))
        await graph.checkpoint()
        await graph.mark_deleted(numbered(11, 10))
        newest = max(tmp_path.glob("*.graph"))
        newest.write_bytes(newest.read_bytes()[:-5])
        kill_worker(graph)
        assert await reloads.next() == 50
        assert (await graph.labels()).tolist() == list(range(21, 51))
        assert "graph.quarantined" in events.names()


@pytest.mark.parametrize("seed", range(3))
async def test_kills_at_any_point_of_checkpoints_leave_one_that_loads(tmp_path, seed):
    """Ten rounds each: a kill within the time that a checkpoint takes, then a look at it."""
    chance = random.Random(seed)
    vectors, reloads, events = clustered(3_000), Reloads(), Events()
    loop = asyncio.get_running_loop()
    async with opened(tmp_path, on_reload=reloads, notify=events) as graph:
        await graph.add(numbered(1, 2_000), vectors[:2_000])
        started = loop.time()
        covered = await graph.checkpoint()
        takes_s = loop.time() - started
        for round_ in range(10):
            first = covered + 1
            await graph.add(numbered(first, 50), vectors[first - 1 : first + 49])
            saving = asyncio.create_task(graph.checkpoint())
            loop.call_later(1.2 * takes_s * chance.random(), kill_worker, graph)
            try:
                said = await saving
            except GraphLostError:
                said = 0
            reloaded = await reloads.next()
            assert reloaded in {covered, first + 49}
            assert reloaded >= said
            covered = reloaded
            assert (await graph.labels()).tolist() == list(range(1, covered + 1)), round_
            labels, _ = await graph.search(vectors[:covered], 1)
            assert (labels[:, 0] == numbered(1, covered)).mean() > 0.99
            graph._keeper._policy.losses = 0  # its owner would have waited
    assert "graph.quarantined" not in events.names()
    assert not list(tmp_path.glob("*.tmp"))


async def replay(graph: Graph, vectors: np.ndarray) -> None:
    """What an owner does whose documents 1, 2, 3 ... have these vectors."""
    missing = await graph.reconcile(numbered(1, len(vectors)))
    await graph.add(missing, vectors[missing.astype(int) - 1])


async def write_for_ever(graph: Graph, vectors: np.ndarray, *, saves: bool) -> None:
    while True:
        await replay(graph, vectors)
        await graph.search(vectors[:64], 10)
        if saves:
            await graph.checkpoint()


async def test_kills_during_adds_lose_nothing_that_its_owner_still_has(tmp_path):
    chance = random.Random(7)
    vectors, reloads = clustered(2_000), Reloads()
    loop = asyncio.get_running_loop()
    async with opened(tmp_path, on_reload=reloads) as graph:
        for round_ in range(4):
            loop.call_later(0.2 * chance.random(), kill_worker, graph)
            with pytest.raises(GraphLostError):
                await write_for_ever(graph, vectors[: 500 * (round_ + 1)], saves=round_ % 2 == 1)
            await reloads.next()
            graph._keeper._policy.losses = 0  # its owner would have waited
        await replay(graph, vectors)
        assert (await graph.labels()).tolist() == list(range(1, 2_001))


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
@pytest.mark.parametrize("kind", ["json", "graph", "books"])
async def test_a_damaged_file_costs_the_newest_checkpoint_and_no_more(tmp_path, kind, damage):
    saved = Checkpoints(tmp_path, DIM, 2, Events())
    content = make_content(100)
    saved.write(content)
    content.add(numbered(101, 1), clustered(1))
    saved.write(content)
    file = max(tmp_path.glob(f"*.{kind}"))
    data = bytearray(file.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 16
    file.write_bytes({"truncated": data[:-3], "flipped": data, "empty": b""}[damage])
    events = Events()
    async with opened(tmp_path, notify=events) as graph:
        assert graph.covered == 100
        assert (await graph.labels()).tolist() == list(range(1, 101))
        assert (await graph.search(clustered(100), 1))[0][:, 0].tolist() == list(range(1, 101))
    assert events.names() == ["graph.quarantined"]
    assert events[0][2]["level"] == "warning"


@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process")
async def test_a_full_disk_fails_the_checkpoint_and_nothing_else(tmp_path):
    async with opened(tmp_path) as graph:
        await graph.add(numbered(1, 100), clustered(100))
        await graph.checkpoint()
        await graph.add(numbered(101, 3_000), clustered(3_000))
        limit = resource.RLIMIT_FSIZE
        _, hard = resource.prlimit(graph.stats().pid, limit, (100_000, -1))
        before = sorted(tmp_path.iterdir())
        with pytest.raises(StorageError, match="bytes were written"):
            await graph.checkpoint()
        assert sorted(tmp_path.iterdir()) == before
        assert graph.covered == 100
        assert (await graph.search(clustered(1), 1))[0].shape == (1, 1)
        resource.prlimit(graph.stats().pid, limit, (hard, hard))
        assert await graph.checkpoint() == 3_100


@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process")
async def test_no_memory_fails_the_call_and_the_graph_comes_back(tmp_path):
    reloads = Reloads()
    vectors = clustered(60_000, 8)
    async with opened(tmp_path, dim=8, on_reload=reloads) as graph:
        await graph.add(numbered(1, 1_000), vectors[:1_000])
        await graph.checkpoint()
        pid = graph.stats().pid
        used_bytes = psutil.Process(pid).memory_info().vms
        resource.prlimit(pid, resource.RLIMIT_AS, (used_bytes + (1 << 20), -1))
        with pytest.raises(GraphLostError):
            await graph.add(numbered(1_001, 59_000), vectors[1_000:])
        try:  # where only the room was lacking, the graph is as it was
            await graph.search(vectors[:1], 1)
        except GraphLostError:
            await reloads.next()
        else:
            resource.prlimit(pid, resource.RLIMIT_AS, (-1, -1))
        await graph.add(numbered(1_001, 2_000), vectors[1_000:3_000])
        labels, _ = await graph.search(vectors[:3_000], 1)
        assert (labels[:, 0] == numbered(1, 3_000)).mean() > 0.99


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")
async def test_a_save_that_is_killed_fails_alone(tmp_path):
    async with opened(tmp_path) as graph:
        await graph.add(numbered(1, 4_000), clustered(4_000))
        worker = psutil.Process(graph.stats().pid)
        saving = asyncio.create_task(graph.checkpoint())
        while not (children := await asyncio.to_thread(worker.children)):
            assert not saving.done()
        children[0].kill()
        with pytest.raises(StorageError, match="-9"):
            await saving
        assert (await graph.search(clustered(1), 1))[0].shape == (1, 1)
        assert await graph.checkpoint() == 4_000
        assert graph.stats().restarts == 0
    async with opened(tmp_path) as graph:
        assert graph.covered == 4_000


async def test_a_process_that_cannot_start_is_given_up_and_open_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(restarts, "_DELAYS_S", (0.0, 0.0))
    monkeypatch.setattr(sys, "executable", "/bin/false")
    events = Events()
    with pytest.raises(GraphLostError):
        await Graph.open(tmp_path, dim=DIM, notify=events)
    assert events.names() == ["graph.lost", "graph.lost", "graph.off"]
    monkeypatch.setattr(sys, "executable", "/no/such/program")
    with pytest.raises(GraphLostError, match="cannot be started"):
        await Graph.open(tmp_path, dim=DIM)


async def test_a_graph_that_is_lost_again_and_again_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(restarts, "_DELAYS_S", (0.0,))
    events, reloads = Events(), Reloads()
    async with opened(tmp_path, notify=events, on_reload=reloads) as graph:
        kill_worker(graph)
        await reloads.next()
        kill_worker(graph)
        await events.wait_for("graph.off")
        with pytest.raises(GraphLostError, match="given up"):
            await graph.search(clustered(1), 1)
    assert events.names() == ["graph.lost", "graph.restarted", "graph.off"]
    assert events[-1][2]["level"] == "error"


async def test_a_graph_that_is_closed_while_it_comes_back_leaves_nothing(tmp_path):
    events = Events()
    async with opened(tmp_path, notify=events) as graph:
        kill_worker(graph)
        await events.wait_for("graph.lost")
        await graph.close()
        assert graph.stats().state == "off"


async def test_a_file_that_goes_away_under_it_harms_no_search(tmp_path):
    vectors = clustered(500)
    async with opened(tmp_path) as graph:
        await graph.add(numbered(1, 500), vectors)
        await graph.checkpoint()
        shutil.rmtree(tmp_path)
        labels, _ = await graph.search(vectors[:5], 500, allowed=numbered(1, 400))
        assert labels.shape == (5, 400)
        await graph.add([501], vectors[:1])
        with pytest.raises(StorageError):
            await graph.checkpoint()
        assert graph.stats().restarts == 0


async def test_a_file_cut_short_under_it_costs_a_restart_and_nothing_wrong(tmp_path):
    """The checkpoint is mapped: reading past its new end is SIGBUS, in that process alone."""
    vectors, reloads, events = clustered(3_000), Reloads(), Events()
    async with opened(tmp_path, on_reload=reloads, notify=events) as graph:
        await graph.add(numbered(1, 3_000), vectors)
        await graph.checkpoint()
        os.truncate(next(iter(tmp_path.glob("*.graph"))), 1_000)
        with pytest.raises(GraphLostError):
            await graph.search(vectors[:1], 3_000)
        assert await reloads.next() == 0
        assert "graph.quarantined" in events.names()
        assert (await graph.labels()).tolist() == []


def test_hnswlib_still_has_the_traps_that_this_is_built_around():
    """Should one of these change with a later version, look at what can be simpler."""
    graph = HnswGraph(DIM, 16, 100, 1)
    graph.add(clustered(3))
    assert graph.walk(clustered(1), 4, 10) is None
    graph.delete([0])
    with pytest.raises(RuntimeError):
        graph.delete([0])
    assert isinstance(graph._index.get_items(np.array([1]), return_type="list"), list)
