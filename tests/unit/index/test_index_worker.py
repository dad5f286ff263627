"""Collections with the real graph in its own process."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal

import numpy as np
from index_helpers import collection, opened

from emberd.config import IndexSettings

DIM = 48
COUNT = 3_000
SETTINGS = IndexSettings(exact_below=500, query_cache_mib=0)
IDS = [str(number) for number in range(COUNT)]


def clustered(count: int, seed: int = 0) -> np.ndarray:
    """Vectors around fifty centres, as texts about fifty things would be."""
    chance = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((50, DIM))
    vectors = centres[chance.integers(0, 50, count)] + 0.7 * chance.standard_normal((count, DIM))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


VECTORS = clustered(COUNT)
QUERIES = clustered(100, seed=1)


def feeder(c):
    return c._collections["docs"].residence.current.feeder


async def recall(c, alive, k=10, **options) -> float:
    """recall@k against exact search in NumPy; what is found must be alive and rightly scored."""
    found = await c.search("docs", QUERIES, k, explain=True, **options)
    scores = QUERIES @ VECTORS.T
    scores[:, [number for number in range(COUNT) if number not in alive]] = -np.inf
    hits = 0
    for row, each in zip(scores, found, strict=True):
        assert len(each) == k
        assert each[0].explain["plan"] == "graph"
        np.testing.assert_allclose(
            [hit.score for hit in each], row[[int(hit.id) for hit in each]], atol=1e-5
        )
        hits += len({int(hit.id) for hit in each} & set(np.argsort(-row)[:k].tolist()))
    return hits / (k * len(found))


async def fill(c):
    for start in range(0, COUNT, 500):
        chosen = slice(start, start + 500)
        await c.upsert(
            "docs",
            IDS[chosen],
            VECTORS[chosen],
            None,
            [{"n": n} for n in range(start, start + 500)],
        )


async def test_recall_is_kept_through_updates_restarts_and_a_killed_worker(folder, told):
    alive = set(range(COUNT))
    async with collection(
        folder / "closed", dim=DIM, settings=SETTINGS, graph="default", told=told
    ) as c:
        await fill(c)
        await feeder(c).settle()
        assert await recall(c, alive) >= 0.97
        assert feeder(c).recall >= 0.95
        await c.delete("docs", IDS[:300])
        alive -= set(range(300))
        await c.upsert("docs", IDS[300:600], VECTORS[300:600], ["changed"] * 300)
        assert await recall(c, alive) >= 0.97
        await feeder(c).settle()
        assert await recall(c, alive) >= 0.97
        assert (
            await recall(c, alive - set(range(1_500)), where={"n": {"$gte": 1_500}}, exact=False)
            >= 0.97
        )
        os.kill(feeder(c).figures.pid, signal.SIGKILL)
        found = await c.search("docs", QUERIES[:1], 10)
        assert [len(each) for each in found] == [10]
        async with asyncio.timeout(30):
            while feeder(c).applied is None:  # noqa: ASYNC110 - the worker's start has no event here
                await asyncio.sleep(0.01)
        await feeder(c).settle()
        assert await recall(c, alive) >= 0.97
        shutil.copytree(folder / "closed", folder / "killed")
        assert (await c.check("docs")).is_sound
    for place in ("closed", "killed"):
        async with opened(folder / place, settings=SETTINGS, graph="default") as c:
            await c.info("docs")
            await feeder(c).settle()
            stats = c.stats().collections[0]
            assert (stats.count, stats.indexed, stats.graph) == (2_700, 2_700, "ok")
            assert await recall(c, alive) >= 0.97
            await c.rebuild("docs")
            assert feeder(c).figures.deleted == 0
            assert await recall(c, alive) >= 0.97
