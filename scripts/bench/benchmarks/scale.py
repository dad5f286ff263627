"""What cache and collections cost as they grow: ten million records, one million documents.

Vectors are made up, the code is the daemon's own: the LMDB tier in this process, collections
through the socket. Each size is reached from the one before, so that the rate of inserting is that
of a store which has the others already. Memory is what the process cannot give back (anonymous
pages); the file's pages, which the system can drop, are not in it.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil

from bench.benchmark import Bench, Benchmark
from bench.benchmarks.collections import Clusters, upsert, wait_until_indexed
from bench.daemon import BenchDaemon
from bench.figures import Figure
from bench.pairs import latencies
from emberd.cache.disk import LmdbOptions, LmdbTier
from emberd.client import Client
from emberd.records.values import pack_values

__all__ = ["BENCHMARK"]

_RECORDS, _FEW_RECORDS = (10_000, 100_000, 1_000_000, 10_000_000), (1_000, 10_000, 100_000)
_DOCUMENTS, _FEW_DOCUMENTS = (10_000, 100_000, 1_000_000), (1_000, 10_000)
_DIM = 384
_BATCH = 5_000
_PART = 50_000  # documents that are made at a time
_LOOKUPS = 400
_AT_ONCE = 64
_BUDGET = 64 << 30
_NAMESPACE = "default"
_MIB = 1 << 20


def run(bench: Bench) -> list[Figure]:
    records = _FEW_RECORDS if bench.is_quick else _RECORDS
    documents = _FEW_DOCUMENTS if bench.is_quick else _DOCUMENTS
    with tempfile.TemporaryDirectory(prefix="emberd-bench") as folder:
        figures = list(_cache(Path(folder), records))
    return [*figures, *_index(bench, documents)]


# -- the cache


def _cache(folder: Path, sizes: Sequence[int]) -> Iterator[Figure]:
    dice = np.random.default_rng(5)
    rows = dice.normal(0, 0.05, (_BATCH, _DIM)).astype(np.float32)
    values = pack_values(rows, [20] * _BATCH, [False] * _BATCH, "f16")
    options = LmdbOptions(budget_bytes=_BUDGET)
    before_mib = _memory_mib()
    tier = LmdbTier.open(folder, options)
    try:
        for held, size in pairwise((0, *sizes)):
            seconds = []
            for start in range(held, size, _BATCH):
                keys = _keys(range(start, min(start + _BATCH, size)))
                started = time.perf_counter()
                tier.set_many(_NAMESPACE, list(zip(keys, values, strict=False)))
                seconds.append((time.perf_counter() - started) / len(keys))
            tier.close()
            started = time.perf_counter()
            tier = LmdbTier.open(folder, options)
            opened_s = time.perf_counter() - started
            asked = [_keys(dice.integers(0, size, _AT_ONCE)) for _ in range(_LOOKUPS)]
            one, _ = latencies([partial(tier.get_many, _NAMESPACE, keys[:1]) for keys in asked])
            many, worst = latencies([partial(tier.get_many, _NAMESPACE, keys) for keys in asked])
            name = f"cache of {size:,}"
            late = seconds[-len(seconds) // 4 :]  # the last quarter: the store is nearly that full
            yield Figure(f"{name}: insert", "us/record", (float(np.mean(late)) * 1e6,))
            yield Figure(f"{name}: one lookup", "us", (one * 1e6,))
            yield Figure(f"{name}: 64 lookups", "us", (many * 1e6,))
            yield Figure(f"{name}: 64 lookups, p99", "us", (worst * 1e6,))
            yield Figure(f"{name}: open", "ms", (opened_s * 1e3,))
            yield Figure(f"{name}: on disk", "bytes/record", (_size_bytes(folder) / size,))
            yield Figure(f"{name}: in memory", "MiB", (_memory_mib() - before_mib,))
    finally:
        tier.close()


def _keys(numbers: Sequence[int] | np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> list[bytes]:
    """16 bytes each, spread like hashes and made without them: a bijection of 64-bit numbers."""
    mixed = np.asarray(numbers, np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # splitmix64
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    pairs = np.stack([mixed ^ (mixed >> np.uint64(31)), mixed], axis=1)
    joined = pairs.tobytes()
    return [joined[at : at + 16] for at in range(0, len(joined), 16)]


def _memory_mib() -> float:
    """Of this process, without the pages of files where the system tells them apart."""
    memory = psutil.Process().memory_info()
    return float(memory.rss - getattr(memory, "shared", 0)) / _MIB


def _size_bytes(folder: Path) -> int:
    return sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file())


# -- collections


def _index(bench: Bench, sizes: Sequence[int]) -> Iterator[Figure]:
    clusters = Clusters(9)
    with BenchDaemon(bench.model, *bench.settings) as daemon:
        for held, size in pairwise((0, *sizes)):
            with daemon.client(timeout_s=None) as client:
                upsert_s, build_s = _grow(client, clusters, held, size)
                one, p99 = _search(client, clusters, 1)
                many, _ = _search(client, clusters, _AT_ONCE)
                info = client.collections_info("c")
            daemon.stop()
            started = time.perf_counter()
            daemon.start()
            with daemon.client(timeout_s=None) as client:
                client.search("c", clusters.take(1), k=10, include=[])
                opened_s = time.perf_counter() - started
            name, added = f"collection of {size:,}", size - held
            yield Figure(f"{name}: upsert", "us/document", (upsert_s / added * 1e6,))
            yield Figure(f"{name}: graph", "us/document", (build_s / added * 1e6,))
            yield Figure(f"{name}: one query", "ms", (one * 1e3,))
            yield Figure(f"{name}: one query, p99", "ms", (p99 * 1e3,))
            yield Figure(f"{name}: 64 queries", "ms", (many * 1e3,))
            yield Figure(f"{name}: start and search", "ms", (opened_s * 1e3,))
            yield Figure(f"{name}: on disk", "bytes/document", (info.size_bytes / size,))
            yield Figure(f"{name}: in memory", "bytes/document", (info.memory_bytes / size,))


def _grow(client: Client, clusters: Clusters, held: int, size: int) -> tuple[float, float]:
    """Seconds of the upserts, and seconds until all of it was in the graph, too."""
    upsert_s = 0.0
    began = time.perf_counter()
    for start in range(held, size, _PART):
        vectors = clusters.take(min(_PART, size - start))
        started = time.perf_counter()
        upsert(client, vectors, start)
        upsert_s += time.perf_counter() - started
    wait_until_indexed(client, size)
    return upsert_s, time.perf_counter() - began


def _search(client: Client, clusters: Clusters, count: int) -> tuple[float, float]:
    asked = [clusters.take(count) for _ in range(100)]
    return latencies([partial(client.search, "c", each, k=10, include=[]) for each in asked])


BENCHMARK = Benchmark(
    "scale",
    "What do ten million cached vectors and a million documents cost?",
    "no step where cost grows faster than it must",
    run,
    is_on_request=True,
)
