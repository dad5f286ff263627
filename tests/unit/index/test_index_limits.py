"""What is at its limits: the event loop that must stay free, the disk that is full."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from index_helpers import DIM, Graphs, collection, many, opened

from emberd.config import IndexSettings

# Where the work of every kind of call is done. None of it may be on the loop's thread.
WORK = [
    "emberd.index.collection.prepare_batch",
    "emberd.index.collection.documents_of",
    "emberd.index.collection.page_of",
    "emberd.index.search.searcher.rank_exactly",
    "emberd.index.search.searcher.rank_proposals",
    "emberd.index.search.searcher.make_hits",
    "emberd.index.search.searcher.search_words",
    "emberd.index.store.committer.Committer.run",
    "emberd.index.store.committer.Committer.compact",
    "emberd.index.store.committer.Committer.close",
    "emberd.index.store.store.open_files",
    "emberd.index.store.store.check_content",
    "emberd.index.store.store.check_vectors",
    "emberd.index.store.store.structure_problems",
    "emberd.index.store.snapshot.Snapshot.labels_where",
    "emberd.index.upkeep.mirror._alive_between",
    "emberd.index.upkeep.feeder.take_sample",
    "emberd.index.collections.look_around",
    "emberd.index.collections.build_folder",
    "emberd.index.collections.remove_folder",
    "emberd.index.collections.size_of",
]


async def test_nothing_that_takes_time_runs_on_the_event_loop(folder, monkeypatch):
    loop_thread = threading.get_ident()
    done: dict[str, set[int]] = {}

    def watch(place):
        home, _, name = place.rpartition(".")
        module, _, owner = home.rpartition(".")
        target = sys.modules[home] if home in sys.modules else getattr(sys.modules[module], owner)
        work = getattr(target, name)

        def watched(*args, **kwargs):
            done.setdefault(place, set()).add(threading.get_ident())
            return work(*args, **kwargs)

        monkeypatch.setattr(target, name, watched)

    for place in WORK:
        watch(place)
    settings = IndexSettings(exact_below=100, checkpoint_s=0)
    graphs = Graphs()
    ids = [str(number) for number in range(300)]
    for _ in range(2):
        async with collection(folder, settings=settings, graph=graphs) as c:
            await c.upsert("docs", ids, many(300), ids, [{"n": n} for n in range(300)])
            await c._collections["docs"].residence.current.feeder.settle()
            await c.search("docs", many(2), 3)
            await c.search("docs", many(2), 3, exact=True, where={"n": {"$gt": 5}})
            await c.search("docs", many(1), 3, hybrid=True, query_texts=["7"])
            await c.get("docs", ids)
            await c.scan("docs", where={"n": 3})
            await c.delete("docs", ids[:5])
            await c.rebuild("docs")
            await c.check("docs")
            await c.create("more", model="m", fingerprint="f", dim=DIM)
            await c.drop("more")
    assert graphs.opened
    assert sorted(done) == sorted(WORK)
    assert [place for place, threads in done.items() if loop_thread in threads] == []


async def test_a_call_that_waits_holds_up_no_other(folder, monkeypatch):
    """A writer that stands still is not felt by searches, nor by the loop."""
    from emberd.index.store.transaction import Transaction

    gate, entered = threading.Event(), threading.Event()
    upsert = Transaction.upsert

    def slow(self, batch):
        if batch.ids == ["slow"]:
            entered.set()
            gate.wait(10)
        return upsert(self, batch)

    monkeypatch.setattr(Transaction, "upsert", slow)
    async with collection(folder) as c:
        await c.upsert("docs", ["a"], many(1))
        task = asyncio.create_task(c.upsert("docs", ["slow"], many(1)))
        await asyncio.to_thread(entered.wait, 10)
        assert [hit.id for hit in (await c.search("docs", many(1), 2))[0]] == ["a"]
        assert not task.done()
        gate.set()
        await task


@pytest.mark.parametrize("limit_kib", [300, 800])
async def test_a_full_disk_refuses_writes_and_loses_none(folder, limit_kib):
    """RLIMIT_FSIZE stands in for the disk: a write past it fails."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import index_child; index_child.fill_a_full_disk()",
        str(folder),
        str(limit_kib),
        cwd=Path(__file__).parent,
        stdout=subprocess.PIPE,
    )
    said = json.loads((await child.communicate())[0])
    assert child.returncode == 0
    assert said["code"] == "STORAGE"
    assert "free some space" in said["message"]
    assert said["read"] == said["written"] > 0
    assert said["after"] == said["written"] + 1
    async with opened(folder) as c:
        assert (await c.check("docs")).is_sound
        documents, _ = await c.scan("docs", limit=100_000)
        assert len(documents) == said["after"]
