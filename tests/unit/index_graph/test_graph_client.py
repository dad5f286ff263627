"""A graph in its own process, as its owner uses it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from graph_helpers import (
    DIM,
    Events,
    clustered,
    exact,
    kill_worker,
    numbered,
    opened,
    recall,
    wait_for_end,
)

from emberd.errors import GraphLostError, InvalidParamsError, StorageError
from emberd.index.graph import Graph


async def test_it_finds_what_was_added(tmp_path):
    vectors, queries = clustered(5_000), clustered(150, seed=1)
    async with opened(tmp_path) as graph:
        await graph.add(numbered(1, 5_000), vectors)
        labels, scores = await graph.search(queries, 10)
        assert labels.shape == scores.shape == (150, 10)
        assert recall(labels, exact(queries, numbered(1, 5_000), vectors, 10)) >= 0.95
        cosines = np.take_along_axis(queries @ vectors.T, labels.astype(int) - 1, 1)
        assert np.allclose(scores, cosines, atol=1e-5)
        stats = graph.stats()
        assert (stats.state, stats.count, stats.deleted) == ("ok", 5_000, 0)
        assert stats.capacity >= 5_000
        assert stats.memory_bytes > 0


async def test_an_empty_graph_and_an_empty_search_are_no_errors(tmp_path):
    async with opened(tmp_path) as graph:
        labels, scores = await graph.search(clustered(2), 5)
        assert labels.shape == scores.shape == (2, 0)
        await graph.add([], np.empty((0, DIM), np.float32))
        await graph.mark_deleted([])
        await graph.add([1, 2], clustered(2))
        labels, _ = await graph.search(np.empty((0, DIM)), 5)
        assert labels.shape == (0, 2)
        assert (await graph.labels()).tolist() == [1, 2]
        labels, _ = await graph.search(clustered(1), 5, allowed=[])
        assert labels.shape == (1, 0)


async def test_deleted_labels_are_never_found(tmp_path):
    vectors = clustered(300)
    async with opened(tmp_path) as graph:
        await graph.add(numbered(1, 300), vectors)
        await graph.mark_deleted(numbered(1, 150))
        await graph.mark_deleted([1, 2, 999])
        await graph.add(numbered(1, 10), vectors[:10])
        labels, _ = await graph.search(vectors, 300)
        assert labels.shape == (300, 150)
        assert labels.min() == 151
        assert (await graph.labels()).tolist() == list(range(151, 301))
        stats = graph.stats()
        assert (stats.count, stats.deleted) == (150, 150)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
async def test_only_allowed_labels_are_found(tmp_path, share):
    vectors, queries = clustered(3_000), clustered(30, seed=1)
    allowed = numbered(1, 3_000)[np.random.default_rng(0).random(3_000) < share]
    async with opened(tmp_path) as graph:
        await graph.add(numbered(1, 3_000), vectors)
        labels, _ = await graph.search(queries, 10, allowed=np.append(allowed, np.uint64(9_999)))
        assert np.isin(labels, allowed).all()
        true = exact(queries, allowed, vectors[allowed.astype(int) - 1], 10)
        assert recall(labels, true) >= 0.95


async def test_more_than_there_is_can_be_asked_for(tmp_path):
    async with opened(tmp_path) as graph:
        await graph.add(numbered(1, 20), clustered(20))
        for k in (20, 21, 10**12):
            labels, _ = await graph.search(clustered(200, seed=2), k)
            assert [sorted(row) for row in labels.tolist()] == [list(range(1, 21))] * 200


async def test_a_search_is_answered_while_much_is_being_added(tmp_path):
    async with opened(tmp_path) as graph:
        await graph.add(numbered(1, 100), clustered(100))
        adding = asyncio.create_task(graph.add(numbered(101, 8_000), clustered(8_000)))
        answered = 0
        while not adding.done():
            labels, _ = await graph.search(clustered(1), 1)
            assert labels[0, 0]
            answered += 1
        assert answered >= 3
        await adding
        assert graph.stats().count == 8_100


async def test_searches_at_the_same_time_get_their_own_answers(tmp_path):
    vectors = clustered(500)
    async with opened(tmp_path) as graph:
        await graph.add(numbered(1, 500), vectors)
        found = await asyncio.gather(
            *(graph.search(vectors[at : at + 1 + at % 3], 1 + at % 2) for at in range(100)),
            *(graph.search(vectors[at : at + 1], 1, allowed=[at + 1]) for at in range(20)),
        )
        for at, (labels, _) in enumerate(found[:100]):
            assert labels.shape == (1 + at % 3, 1 + at % 2)
            assert labels[:, 0].tolist() == list(range(at + 1, at + 2 + at % 3))
        assert [labels[0, 0] for labels, _ in found[100:]] == list(range(1, 21))


async def test_a_poisoned_request_is_refused_before_it_reaches_the_process(tmp_path):
    poisoned = clustered(3)
    poisoned[1, 0] = np.nan
    async with opened(tmp_path) as graph:
        await graph.add([1], clustered(1))
        for bad in (
            graph.add([2, 3, 4], poisoned),
            graph.add([2], clustered(1, DIM + 1)),
            graph.add([2, 3], clustered(1)),
            graph.add([0], clustered(1)),
            graph.add([2, 2], clustered(2)),
            graph.search(poisoned, 1),
            graph.search(clustered(1), 0),
            graph.search(clustered(1), 1, ef=0),
            graph.search(clustered(1)[0], 1),
            graph.search(clustered(1), 1, allowed=[-1]),
            graph.mark_deleted([1.5]),
            graph.reconcile([0]),
        ):
            with pytest.raises(InvalidParamsError):
                await bad
        assert (await graph.labels()).tolist() == [1]
        assert graph.stats().restarts == 0


async def test_it_comes_back_from_its_checkpoint(tmp_path):
    vectors = clustered(1_000)
    async with opened(tmp_path, checkpoint=True) as graph:
        assert graph.covered == 0
        await graph.add(numbered(1, 1_000), vectors)
        await graph.mark_deleted([5])
    async with opened(tmp_path) as graph:
        assert graph.covered == 1_000
        labels, _ = await graph.search(vectors, 1)
        assert np.delete(labels[:, 0], 4).tolist() == [*range(1, 5), *range(6, 1_001)]
        assert labels[4, 0] != 5
        stats = graph.stats()
        assert (stats.count, stats.deleted) == (999, 1)
        assert stats.checkpoint_age_s is not None


async def test_without_a_checkpoint_nothing_is_left(tmp_path):
    async with opened(tmp_path) as graph:
        await graph.add([1], clustered(1))
    async with opened(tmp_path) as graph:
        assert graph.covered == 0
        assert (await graph.labels()).tolist() == []


async def test_a_checkpoint_without_changes_is_free(tmp_path):
    async with opened(tmp_path) as graph:
        assert await graph.checkpoint() == 0
        await graph.add([1, 2], clustered(2))
        assert await graph.checkpoint() == 2
        before = sorted(tmp_path.iterdir())
        await graph.mark_deleted([77])
        assert await graph.checkpoint() == 2
        assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("forks", [True, False])
async def test_writes_during_a_checkpoint_are_in_the_next_one(tmp_path, forks):
    vectors = clustered(3_000)
    async with opened(tmp_path, options={"forks": forks}) as graph:
        await graph.add(numbered(1, 2_000), vectors[:2_000])
        first, *_, second = await asyncio.gather(
            graph.checkpoint(),
            graph.add(numbered(2_001, 1_000), vectors[2_000:]),
            graph.mark_deleted(numbered(1, 10)),
            graph.search(vectors[:1], 1),
            graph.checkpoint(),
        )
        assert 2_000 <= first <= second <= 3_000
        assert await graph.checkpoint() == 3_000
    async with opened(tmp_path) as graph:
        assert (await graph.labels()).tolist() == list(range(11, 3_001))
        labels, _ = await graph.search(vectors[2_000:], 1)
        assert labels[:, 0].tolist() == list(range(2_001, 3_001))


async def test_reconcile_makes_it_what_its_owner_says(tmp_path):
    vectors = clustered(100)
    async with opened(tmp_path) as graph:
        await graph.add(numbered(1, 50), vectors[:50])
        await graph.mark_deleted([1])
        missing = await graph.reconcile(np.arange(60, 10, -1))
        assert missing.tolist() == list(range(51, 61))
        await graph.add(missing, vectors[missing.astype(int) - 1])
        assert (await graph.labels()).tolist() == list(range(11, 61))
        assert (await graph.reconcile(numbered(11, 50))).tolist() == []


async def test_clear_forgets_everything_for_good(tmp_path):
    async with opened(tmp_path) as graph:
        await graph.add(numbered(1, 50), clustered(50))
        await graph.mark_deleted([1])
        await graph.checkpoint()
        await graph.clear()
        assert (graph.covered, graph.stats().count, graph.stats().deleted) == (0, 0, 0)
        assert list(tmp_path.iterdir()) == []
        await graph.add([1], clustered(1))
        assert (await graph.labels()).tolist() == [1]
    async with opened(tmp_path) as graph:
        assert (await graph.labels()).tolist() == []


async def test_clear_gives_up_a_checkpoint_that_is_being_written(tmp_path):
    async with opened(tmp_path) as graph:
        await graph.add(numbered(1, 3_000), clustered(3_000))
        saved, _ = await asyncio.gather(graph.checkpoint(), graph.clear(), return_exceptions=True)
        assert isinstance(saved, StorageError)
        assert "cleared" in saved.message
        assert [file for file in tmp_path.iterdir() if file.suffix == ".json"] == []
        await graph.add([1], clustered(1))
        assert await graph.checkpoint() == 1


async def test_a_search_that_is_given_up_harms_nothing(tmp_path):
    async with opened(tmp_path) as graph:
        await graph.add([1], clustered(1))
        given_up = [asyncio.create_task(graph.search(clustered(1), 1)) for _ in range(5)]
        await asyncio.sleep(0)
        for task in given_up:
            task.cancel()
        await asyncio.wait(given_up)
        assert (await graph.search(clustered(1), 1))[0].tolist() == [[1]]


async def test_after_close_calls_are_refused_and_the_process_is_gone(tmp_path):
    async with opened(tmp_path) as graph:
        await graph.add(numbered(1, 500), clustered(500))
        pid = graph.stats().pid
        adding = asyncio.create_task(graph.add(numbered(501, 5_000), clustered(5_000)))
        await asyncio.sleep(0)
        await asyncio.gather(graph.close(checkpoint=False), graph.close())
        with pytest.raises(GraphLostError):
            await adding
        with pytest.raises(GraphLostError):
            await graph.search(clustered(1), 1)
        assert graph.stats().state == "off"
        with pytest.raises(ProcessLookupError):  # nor is it a zombie
            os.kill(pid, 0)


async def test_an_opening_that_is_given_up_leaves_no_process(tmp_path):
    children = set(_children())
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await Graph.open(tmp_path, dim=DIM)
    assert set(_children()) <= children


def _children() -> list[int]:
    tasks = Path(f"/proc/{os.getpid()}/task")
    return [int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()]


async def test_the_signals_that_end_a_daemon_do_not_end_its_graph(tmp_path):
    async with opened(tmp_path) as graph:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(graph.stats().pid, number)
        await graph.add([1], clustered(1))
        assert graph.stats().restarts == 0
        assert os.getsid(graph.stats().pid) != os.getsid(0)


def test_the_process_imports_little():
    heavy = "{'asyncio', 'msgspec', 'sqlite3', 'emberd.config', 'emberd.wire'}"
    code = f"import sys, emberd.index.graph.worker; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "set()"


OWNER = """
import asyncio, sys
from pathlib import Path
from emberd.index.graph import Graph

async def main():
    graph = await Graph.open(Path(sys.argv[1]), dim=4)
    await graph.add([1], [[1, 0, 0, 0]])
    print(graph.stats().pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_no_process_is_left_when_the_daemon_is_killed(tmp_path):
    command = [sys.executable, "-c", OWNER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as owner:
        pid = int(owner.stdout.readline())
        owner.kill()
        wait_for_end(pid)


async def test_a_folder_that_cannot_be_used_is_said_so(tmp_path):
    (tmp_path / "graph").write_bytes(b"a file")
    events = Events()
    with pytest.raises(StorageError):
        await Graph.open(tmp_path / "graph", dim=DIM, notify=events)
    assert events.names() == ["graph.off"]


async def test_a_lost_call_says_that_search_is_exact_meanwhile(tmp_path):
    async with opened(tmp_path) as graph:
        kill_worker(graph)
        with pytest.raises(GraphLostError, match="exact"):
            await graph.search(clustered(1), 1)
