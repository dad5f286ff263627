"""One cached text at a time: the latency that an editor or a search box sees.

In turns: a ping (the same way there and back with nothing to do), the blocking client, the asyncio
client alone and with 32 requests in flight, and the blocking client with a daemon that has no
memory tier, so that LMDB answers. What both processes compute is told beside the time that passes:
the rest is the machine waking two idle processes, which on a virtual one can be the larger part.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from bench.agree import check_agreement
from bench.benchmark import Bench, Benchmark
from bench.daemon import BenchDaemon, serving, wait_until_written
from bench.figures import Bar, Figure, below, ratios
from bench.pairs import Latencies, interleaved, latencies, summed_up
from bench.texts import TextMaker
from emberd.client import AsyncClient, Client

__all__ = ["BENCHMARK"]

_TEXTS = 64  # taken in turn
_DEPTH = 32


@dataclass(frozen=True, slots=True)
class _Turn:
    """What one turn found, in seconds a call."""

    latency: Latencies
    client_cpu: float
    daemon_cpu: float


def run(bench: Bench) -> list[Figure]:
    texts = TextMaker(2).mixed(_TEXTS)
    count = bench.size(4_000, 1_000)
    disk_only = (*bench.settings, "cache.memory_mib=0")
    with (
        serving(bench.model, *bench.settings) as (daemon, client),
        serving(bench.model, *disk_only) as (disk_daemon, disk_client),
        asyncio.Runner() as runner,
    ):
        _warm_up(texts, client, disk_client)
        other = AsyncClient(daemon.socket, autostart=False, name="bench async")
        calls = _calls(client, texts, count)
        disk_calls = _calls(disk_client, texts, count // 2)
        piped = partial(_pipelined, other, texts, count)
        alone = partial(_one_at_a_time, other, texts, count)
        try:
            ping, memory, memory_async, in_flight, lmdb = interleaved(
                bench.rounds,
                partial(_turn, daemon, count, lambda: latencies([client.ping] * count)),
                partial(_turn, daemon, count, lambda: latencies(calls)),
                partial(_turn, daemon, count, lambda: runner.run(alone())),
                partial(_turn, daemon, count, lambda: runner.run(piped())),
                partial(_turn, disk_daemon, count // 2, lambda: latencies(disk_calls)),
            )
        finally:
            runner.run(other.close())
    return [
        _median("cached text, median", memory, below(200)),
        _p99("cached text, p99", memory),
        _us("... computing in the client", [turn.client_cpu for turn in memory]),
        _us("... computing in the daemon", [turn.daemon_cpu for turn in memory]),
        _median("ping, median", ping),
        Figure("cached text / ping, medians", "x", _ratios(memory, ping)),
        _median("asyncio client, median", memory_async),
        _p99("asyncio client, p99", memory_async),
        _median("32 in flight, a request", in_flight),
        Figure("one at a time / 32 in flight", "x", _ratios(memory_async, in_flight)),
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


def _turn(daemon: BenchDaemon, count: int, take: Callable[[], Latencies]) -> _Turn:
    """The latencies of so many calls, and what both sides computed meanwhile."""
    ours_s, theirs_s = time.process_time(), daemon.cpu_s()
    latency = take()
    ours_s, theirs_s = time.process_time() - ours_s, daemon.cpu_s() - theirs_s
    return _Turn(latency, ours_s / count, theirs_s / count)


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


def _us(name: str, seconds: list[float], bar: Bar | None = None) -> Figure:
    return Figure(name, "us", tuple(1e6 * each for each in seconds), bar)


def _median(name: str, turns: list[_Turn], bar: Bar | None = None) -> Figure:
    return _us(name, [turn.latency[0] for turn in turns], bar)


def _p99(name: str, turns: list[_Turn]) -> Figure:
    return _us(name, [turn.latency[1] for turn in turns])


def _ratios(slower: list[_Turn], faster: list[_Turn]) -> tuple[float, ...]:
    return ratios([turn.latency[0] for turn in slower], [turn.latency[0] for turn in faster])


BENCHMARK = Benchmark(
    "single", "How long does one cached text take over the socket?", "median < 200 us", run
)
