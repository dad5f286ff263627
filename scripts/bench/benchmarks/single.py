"""One cached text at a time: the latency that an editor or a search box sees.

In turns: a bare socket between two Python processes (the machine's own price of a round trip, with
messages of the same size), the blocking client, the asyncio client alone and with 32 requests in
flight, and the blocking client with a daemon that has no memory tier, so that LMDB answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from bench.agree import check_agreement
from bench.benchmark import Bench, Benchmark
from bench.daemon import serving, wait_until_written
from bench.echo import bare_socket
from bench.figures import Bar, Figure, below, ratios
from bench.pairs import Latencies, interleaved, latencies, summed_up
from bench.texts import TextMaker
from emberd.client import AsyncClient, Client

__all__ = ["BENCHMARK"]

_TEXTS = 64  # taken in turn
_DEPTH = 32
_REQUEST_BYTES, _REPLY_BYTES = 400, 1_800  # of a text of the mean length, and of its vector


def run(bench: Bench) -> list[Figure]:
    texts = TextMaker(2).mixed(_TEXTS)
    calls = bench.size(4_000, 1_500)
    disk_only = (*bench.settings, "cache.memory_mib=0")
    with (
        serving(bench.model, *bench.settings) as (daemon, client),
        serving(bench.model, *disk_only) as (_, disk_client),
        bare_socket(_REQUEST_BYTES, _REPLY_BYTES) as round_trip,
        asyncio.Runner() as runner,
    ):
        _warm_up(texts, client, disk_client)
        alone = AsyncClient(daemon.socket, autostart=False, name="bench async")
        try:
            bare, memory, memory_async, piped, lmdb = interleaved(
                bench.rounds,
                partial(latencies, [round_trip] * calls),
                partial(latencies, _calls(client, texts, calls)),
                lambda: runner.run(_one_at_a_time(alone, texts, calls)),
                lambda: runner.run(_pipelined(alone, texts, calls)),
                partial(latencies, _calls(disk_client, texts, calls // 2)),
            )
        finally:
            runner.run(alone.close())
    return [
        _median("cached text, median", memory, below(200)),
        _p99("cached text, p99", memory),
        Figure("... / a bare socket, medians", "x", _ratios(memory, bare)),
        _median("bare socket, median", bare),
        _median("asyncio client, median", memory_async),
        _p99("asyncio client, p99", memory_async),
        _median("32 in flight, a request", piped),
        Figure("one at a time / 32 in flight", "x", _ratios(memory_async, piped)),
        _median("from LMDB, median", lmdb),
        _p99("from LMDB, p99", lmdb),
        Figure("from LMDB / from memory, medians", "x", _ratios(lmdb, memory)),
    ]


def _warm_up(texts: list[str], client: Client, disk_client: Client) -> None:
    """Fill both caches, and check that each tier answers and says the same."""
    for each in (client, disk_client):
        each.embed(texts)
    wait_until_written(disk_client)
    memory = client.embed_detailed(texts)
    disk = disk_client.embed_detailed(texts)
    if memory.hits != {"memory": len(texts)} or disk.hits != {"lmdb": len(texts)}:
        raise RuntimeError(f"other tiers answered than meant: {memory.hits}, {disk.hits}")
    check_agreement(memory.vectors, disk.vectors)


def _calls(client: Client, texts: list[str], count: int) -> list[Callable[[], object]]:
    return [partial(client.embed, texts[index % len(texts)]) for index in range(count)]


async def _one_at_a_time(client: AsyncClient, texts: list[str], count: int) -> Latencies:
    loop = asyncio.get_running_loop()
    found: list[float] = []
    for index in range(count):
        started = loop.time()
        await client.embed(texts[index % len(texts)])
        found.append(loop.time() - started)
    return summed_up(found)


async def _pipelined(client: AsyncClient, texts: list[str], count: int) -> Latencies:
    """Seconds a request with 32 of them in flight (its mean, twice)."""

    async def worker() -> None:
        for index in range(count // _DEPTH):
            await client.embed(texts[index % len(texts)])

    loop = asyncio.get_running_loop()
    started = loop.time()
    await asyncio.gather(*[worker() for _ in range(_DEPTH)])
    seconds = (loop.time() - started) / (count // _DEPTH * _DEPTH)
    return seconds, seconds


def _median(name: str, rounds: list[Latencies], bar: Bar | None = None) -> Figure:
    return Figure(name, "us", tuple(1e6 * median for median, _ in rounds), bar)


def _p99(name: str, rounds: list[Latencies]) -> Figure:
    return Figure(name, "us", tuple(1e6 * p99 for _, p99 in rounds))


def _ratios(slower: list[Latencies], faster: list[Latencies]) -> tuple[float, ...]:
    return ratios([median for median, _ in slower], [median for median, _ in faster])


BENCHMARK = Benchmark(
    "single", "How long does one cached text take over the socket?", "median < 200 us", run
)
