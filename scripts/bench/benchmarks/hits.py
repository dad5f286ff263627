"""Cached texts from emberd and from Redis: the same keys, float16 numbers in, float32 arrays out.

In turns, from the blocking clients: redis-py with hiredis over a Unix socket (keys hashed, one
MGET, one array), emberd's memory tier and its LMDB tier over the socket, and direct reads, of rows
that were read since the file's last commit and of rows that this process reads for the first time.
Then both asyncio clients with several connections, one request at a time on each and sixteen. Needs
a redis-server and hiredis.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from functools import partial
from hashlib import blake2b
from itertools import cycle
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from bench.agree import check_agreement
from bench.benchmark import Bench, Benchmark, LeftOutError
from bench.daemon import BenchDaemon, serving, wait_until_written
from bench.figures import Bar, Figure, below, percentile, ratios
from bench.pairs import interleaved
from bench.redis_server import BenchRedis
from bench.texts import TextMaker
from emberd.client import AsyncClient, Client
from emberd.records.mapped import let_go

__all__ = ["BENCHMARK"]

_POOL = 1_000
_SIZES = {1: (600, 0.8), 64: (100, 0.75), 1_000: (30, 0.6)}
"""Texts of a call: calls of a turn, and the bar of the socket."""
_DIRECT_BAR = 0.35
_CONNECTIONS = (1, 8, 64)
_DEPTHS = (1, 16)
_REQUESTS = 512

Call = Callable[[list[str]], object]
Vectors = NDArray[np.float32]


class _Redis:
    """Vectors as somebody would keep them in Redis."""

    def __init__(self, server: BenchRedis) -> None:
        from redis import Redis  # noqa: PLC0415 - the other benchmarks need no redis-py

        self._client = Redis(unix_socket_path=server.socket)

    def fill(self, texts: list[str], vectors: Vectors) -> None:
        rows = (row.tobytes() for row in vectors.astype("<f2"))
        self._client.mset(dict(zip(_keys(texts), rows, strict=True)))

    def get(self, texts: list[str]) -> Vectors:
        return _array(self._client.mget(_keys(texts)))


def run(bench: Bench) -> list[Figure]:
    _check_hiredis()
    texts = TextMaker(12).mixed(_POOL)
    disk_only = (*bench.settings, "cache.memory_mib=0")
    with (
        BenchRedis() as server,
        serving(bench.model, *bench.settings) as (daemon, client),
        daemon.client(direct=True) as direct,
        ExitStack() as stack,
    ):
        kept = _Redis(server)
        client.embed(texts)
        wait_until_written(client)
        disk_client = stack.enter_context(serving(bench.model, *disk_only, cache_of=daemon))[1]
        kept.fill(texts, client.embed(texts))
        _check(texts, client, disk_client, direct, kept)
        calls = {
            "socket, memory": client.embed,
            "socket, LMDB": disk_client.embed,
            "direct": direct.embed,
        }
        figures = []
        for size in _SIZES:
            figures += _sized(bench, daemon, texts, size, kept.get, calls)
        return [*figures, *_connected(bench, daemon, server, texts)]


def _sized(
    bench: Bench,
    daemon: BenchDaemon,
    texts: list[str],
    size: int,
    baseline: Call,
    calls: dict[str, Call],
) -> list[Figure]:
    """Times of calls of so many texts, as medians of a turn, over those of Redis."""
    count, bar = _SIZES[size]
    parts = [texts[start : start + size] for start in range(0, _POOL - size + 1, size)]
    redis_s, *others = interleaved(
        bench.rounds,
        *(partial(_median, call, parts, count) for call in (baseline, *calls.values())),
        partial(_first_reads, daemon, parts[:count], texts[-1]),
    )
    bars: dict[str, Bar] = {"socket, memory": below(bar)}
    if size == 64:
        bars["direct"] = below(_DIRECT_BAR)
    figures = [Figure(f"Redis, {_named(size)}", "us", tuple(1e6 * each for each in redis_s))]
    for name, seconds in zip([*calls, "direct, first read"], others, strict=True):
        title = f"{name} / Redis, {_named(size)}"
        figures.append(Figure(title, "x", ratios(seconds, redis_s), bars.get(name)))
    return figures


def _median(call: Call, parts: Sequence[list[str]], count: int) -> float:
    """Seconds of a call: the median of so many, over one part after the other."""
    seconds = []
    for part, _ in zip(cycle(parts), range(count), strict=False):
        started = perf_counter()
        call(part)
        seconds.append(perf_counter() - started)
    return percentile(seconds, 0.5)


def _first_reads(daemon: BenchDaemon, parts: Sequence[list[str]], warm_up: str) -> float:
    """The same of parts that this process has not read yet, with the file open."""
    let_go(daemon.home / "data" / "cache" / "lmdb" / "lmdb")
    with daemon.client(direct=True) as client:
        client.embed(warm_up)
        return _median(client.embed, parts, len(parts))


def _connected(
    bench: Bench, daemon: BenchDaemon, server: BenchRedis, texts: list[str]
) -> list[Figure]:
    """Requests of one text and of 64 over several connections, with one and with many in flight."""
    figures = []
    with asyncio.Runner() as runner:
        for size in (1, 64):
            parts = [texts[start : start + size] for start in range(0, _POOL - size + 1, size)]
            for connections in _CONNECTIONS[: bench.size(3, 2)]:
                for depth in _DEPTHS:
                    load = partial(_load, parts, connections, depth, bench.size(_REQUESTS, 256))
                    ours, theirs = interleaved(
                        bench.few_rounds,
                        lambda load=load: runner.run(load(partial(_emberd, daemon))),
                        lambda load=load: runner.run(load(partial(_redis, server))),
                    )
                    name = f"{_named(size)}, {connections} x {depth} in flight"
                    figures.append(
                        Figure(f"socket, memory / Redis, {name}", "x", ratios(ours, theirs))
                    )
    return figures


Turn = Callable[[list[list[str]]], Awaitable[object]]
"""Asks for some parts at once, on one connection."""
Opened = tuple[Turn, Callable[[], Awaitable[object]]]


async def _load(
    parts: list[list[str]],
    connections: int,
    depth: int,
    requests: int,
    opened: Callable[[], Opened],
) -> float:
    """Seconds a request, over connections that are open when the time begins."""
    links = [opened() for _ in range(connections)]
    turns = max(requests // (connections * depth), 1)
    asked = cycle(parts)

    async def work(turn: Turn) -> None:
        for _ in range(turns):
            await turn([next(asked) for _ in range(depth)])

    try:
        await asyncio.gather(*[turn([parts[0]]) for turn, _ in links])
        started = perf_counter()
        await asyncio.gather(*[work(turn) for turn, _ in links])
        return (perf_counter() - started) / (turns * connections * depth)
    finally:
        await asyncio.gather(*[close() for _, close in links])


def _emberd(daemon: BenchDaemon) -> Opened:
    client = AsyncClient(daemon.socket, autostart=False, name="bench")

    async def turn(parts: list[list[str]]) -> None:
        await asyncio.gather(*[client.embed(part) for part in parts])

    return turn, client.close


def _redis(server: BenchRedis) -> Opened:
    from redis.asyncio import Redis  # noqa: PLC0415 - as above

    client = Redis(unix_socket_path=server.socket)

    async def turn(parts: list[list[str]]) -> list[Vectors]:
        if len(parts) == 1:
            return [_array(await client.mget(_keys(parts[0])))]
        pipe = client.pipeline(transaction=False)
        for part in parts:
            pipe.mget(_keys(part))
        return [_array(values) for values in await pipe.execute()]

    return turn, client.aclose


def _check(
    texts: list[str], client: Client, disk_client: Client, direct: Client, kept: _Redis
) -> None:
    """Each answers from where it should, with the same vectors."""
    found = {
        "memory": client.embed_detailed(texts),
        "lmdb": disk_client.embed_detailed(texts),
        "direct": direct.embed_detailed(texts),
    }
    for name, result in found.items():
        if result.hits != {name: len(texts)}:
            raise RuntimeError(f"other tiers answered than meant: {result.hits}")
        check_agreement(result.vectors, kept.get(texts))


def _check_hiredis() -> None:
    try:
        import hiredis  # noqa: F401, PLC0415 - redis-py uses it where it is there
        import redis  # noqa: F401, PLC0415
    except ImportError as exc:
        raise LeftOutError("redis-py or hiredis is not installed") from exc


def _keys(texts: list[str]) -> list[bytes]:
    return [blake2b(text.encode(), digest_size=16).digest() for text in texts]


def _array(values: Sequence[bytes]) -> Vectors:
    return np.frombuffer(b"".join(values), "<f2").reshape(len(values), -1).astype(np.float32)


def _named(size: int) -> str:
    return "one text" if size == 1 else f"{size:,} texts"


BENCHMARK = Benchmark(
    "hits",
    "How long do cached texts take, beside redis-py with hiredis?",
    "64 texts: direct < 0.35, socket < 0.75; one text < 0.8; 1,000 < 0.6",
    run,
)
