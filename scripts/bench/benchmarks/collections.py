"""Searching a collection through the socket, against hnswlib driven directly in one process.

Both hold the same clustered vectors in a graph of the same parameters, with as many threads, and
the direct one searches with the smallest `ef` that finds at least as many true neighbours. Queries
differ from call to call, so that no result comes from the daemon's cache of results. Beside the
ratio stand what a person asks next: building, single queries, filters, room, and whether the event
loop stayed free meanwhile.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.benchmark import Bench, Benchmark
from bench.daemon import serving
from bench.figures import Figure, at_least, below, ratios
from bench.pairs import interleaved, latencies, timed
from emberd.client import Client

if TYPE_CHECKING:
    import hnswlib

__all__ = ["BENCHMARK", "Clusters", "upsert", "wait_until_indexed"]

_DIM = 384
_QUERIES = 64
_K = 10
_M, _EF_CONSTRUCTION = 16, 200
_SPREAD = 0.7
_BATCH = 10_000

Vectors = NDArray[np.float32]


class Clusters:
    """Vectors around random centres, as embeddings of a few hundred subjects are."""

    def __init__(self, seed: int, subjects: int = 200) -> None:
        self._rng = np.random.default_rng(seed)
        self._centres = self._rng.normal(size=(subjects, _DIM))

    def take(self, count: int) -> Vectors:
        """(count, 384) float32, rows L2-normalised."""
        centres = self._centres[self._rng.integers(0, len(self._centres), count)]
        rows = centres + self._rng.normal(size=(count, _DIM)) * _SPREAD
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows.astype(np.float32)


def run(bench: Bench) -> list[Figure]:
    clusters = Clusters(7)
    vectors = clusters.take(bench.size(100_000, 15_000))
    probes = clusters.take(256)
    turns = bench.rounds * 4
    asked = [clusters.take(_QUERIES) for _ in range(turns + 1)]
    here, there = iter(asked), iter(asked)
    truth = np.argsort(-(probes @ vectors.T), axis=1)[:, :_K]
    direct, direct_s = _direct_index(vectors)
    with serving(bench.model, *bench.settings) as (_, client):
        upsert_s, build_s, lag_ms = _fill(client, vectors)
        recall = _recall(
            truth, [[int(hit.id) for hit in hits] for hits in client.search("c", probes, k=_K)]
        )
        direct_recall = _choose_ef(direct, probes, truth, recall)
        daemon_s, direct_query_s = interleaved(
            turns,
            timed(lambda: client.search("c", next(there), k=_K, include=[])),
            timed(lambda: direct.knn_query(next(here), k=_K)),
        )
        single = _single(client, clusters)
        filtered = {share: _single(client, clusters, share) for share in (1, 10, 50)}
        info = client.collections_info("c")  # measures the folder; snapshots do at intervals
    count = len(vectors)
    return [
        Figure(
            "64 queries, daemon / hnswlib", "x", ratios(direct_query_s, daemon_s), at_least(0.7)
        ),
        Figure("recall@10", "", (recall,), at_least(0.97)),
        Figure("recall@10, hnswlib", "", (direct_recall,)),
        Figure("64 queries, daemon", "queries/s", tuple(_QUERIES / s for s in daemon_s)),
        Figure("64 queries, median", "ms", (float(np.median(daemon_s)) * 1e3,)),
        Figure("64 queries, p99", "ms", (float(np.quantile(daemon_s, 0.99)) * 1e3,)),
        Figure("one query, median", "ms", (single[0] * 1e3,)),
        Figure("one query, p99", "ms", (single[1] * 1e3,)),
        *(
            Figure(f"filter of {share}%, median", "ms", (found[0] * 1e3,))
            for share, found in filtered.items()
        ),
        Figure("upsert", "documents/s", (count / upsert_s,)),
        Figure("graph, daemon", "vectors/s", (count / build_s,)),
        Figure("graph, hnswlib", "vectors/s", (count / direct_s,)),
        Figure("on disk", "bytes/document", (info.size_bytes / count,)),
        Figure("in memory", "bytes/document", (info.memory_bytes / count,)),
        Figure("worst lag meanwhile", "ms", (lag_ms,), below(50)),
    ]


def _direct_index(vectors: Vectors) -> tuple[hnswlib.Index, float]:
    import hnswlib  # noqa: PLC0415 - has no wheels: the other benchmarks run without it

    index = hnswlib.Index("ip", _DIM)
    index.init_index(len(vectors), M=_M, ef_construction=_EF_CONSTRUCTION)
    index.set_num_threads(os.cpu_count() or 1)
    started = time.perf_counter()
    index.add_items(vectors)
    return index, time.perf_counter() - started


def _fill(client: Client, vectors: Vectors) -> tuple[float, float, float]:
    """Seconds for the upserts, seconds until the graph had all, the loop's worst lag in ms."""
    started = time.perf_counter()
    upsert(client, vectors)
    upsert_s = time.perf_counter() - started
    lag_ms = wait_until_indexed(client, len(vectors))
    return upsert_s, time.perf_counter() - started, lag_ms


def upsert(client: Client, vectors: Vectors, first: int = 0) -> None:
    """Add the vectors to the collection `c`; their ids are numbers from `first` on."""
    for start in range(0, len(vectors), _BATCH):
        part = vectors[start : start + _BATCH]
        rows = range(first + start, first + start + len(part))
        metadata = [{"n": row % 100} for row in rows]
        client.upsert("c", [str(row) for row in rows], vectors=part, metadata=metadata)


def wait_until_indexed(client: Client, count: int) -> float:
    """Return when the graph has so many vectors: the loop's worst lag meanwhile, in ms."""
    lag_ms = 0.0
    for snapshot in client.subscribe(1.0):
        lag_ms = max(lag_ms, snapshot.daemon.loop_lag_ms)
        if snapshot.index.collections and snapshot.index.collections[0].indexed >= count:
            break
    return lag_ms


def _choose_ef(
    index: hnswlib.Index, probes: Vectors, truth: NDArray[np.int64], least: float
) -> float:
    """Set the smallest `ef` that finds as much as the daemon; returns what it finds."""
    found = 0.0
    for ef in (16, 24, 32, 48, 64, 80, 100, 128, 192, 256):
        index.set_ef(ef)
        labels, _ = index.knn_query(probes, k=_K)
        found = _recall(truth, labels.tolist())
        if found >= least:
            break
    return found


def _single(client: Client, clusters: Clusters, share: int | None = None) -> tuple[float, float]:
    """Median and p99 in seconds of one query; `share` percent of the documents are allowed."""
    where = None if share is None else {"n": {"$lt": share}}

    def ask(query: Vectors) -> Callable[[], object]:
        return lambda: client.search("c", query, k=_K, where=where)

    return latencies([ask(query) for query in clusters.take(100)])


def _recall(truth: NDArray[np.int64], found: list[list[int]]) -> float:
    hits = sum(len(set(right) & set(got)) for right, got in zip(truth.tolist(), found, strict=True))
    return hits / truth.size


BENCHMARK = Benchmark(
    "collections",
    "How close does a collection behind the socket come to hnswlib itself?",
    ">= 0.7 of its queries/s at recall@10 >= 0.97; event loop < 50 ms",
    run,
)
