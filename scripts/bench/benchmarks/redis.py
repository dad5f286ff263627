"""What a Redis tier gives while it is there, and what it costs when it has gone.

Up: 64 texts that only Redis has (a daemon without memory and disk tier), one of them at a time, and
the same texts computed. Gone: two daemons, one with the tier and one without. Redis is stopped
while new texts are looked up in it; once the tier's breaker is open, both daemons answer the same
texts from memory (not in a quick run), and in another pair from LMDB, and then texts that nobody
has. Needs a redis-server, which it starts itself.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bench.agree import check_agreement
from bench.benchmark import Bench, Benchmark
from bench.daemon import BenchDaemon, serving, wait_until_idle, wait_until_written
from bench.figures import Figure, below, ratios
from bench.load import under_load
from bench.pairs import Latencies, interleaved, latencies, timed
from bench.redis_server import BenchRedis
from bench.texts import TextMaker
from emberd.client import Client
from emberd.wire.snapshot import TierStats

__all__ = ["BENCHMARK"]

_TEXTS = 64
_REPEATS = 20  # of the call for all texts, which takes milliseconds
_NEW_TOKENS = 10
_TRIPS = 5  # failures in a row that open a breaker
_SNAPSHOTS = 60


def run(bench: Bench) -> list[Figure]:
    from_memory = [] if bench.is_quick else _gone(bench, "memory")
    return [
        *from_memory,
        *_gone(bench, "lmdb", "cache.memory_mib=0"),
        *_up(bench),
    ]


def _gone(bench: Bench, hits: str, *settings: str) -> list[Figure]:
    """Latencies of a daemon whose Redis was stopped, beside one that never had any."""
    maker, count = TextMaker(8), bench.size(2_000, 600)
    texts = maker.mixed(_TEXTS)
    settings = (*bench.settings, *settings)
    with (
        BenchRedis() as redis,
        serving(bench.model, *settings, f"plugin.redis.url={redis.url}") as (daemon, client),
        serving(bench.model, *settings) as (plain_daemon, other),
    ):
        for each in (client, other):
            each.embed(texts)
            wait_until_written(each)
        with under_load(plain_daemon, "new"):  # both, so that their caches grow alike
            _stop_in_mid_load(redis, daemon, client)
        for each in (client, other):
            wait_until_idle(each)
            if (found := each.embed_detailed(texts).hits) != {hits: _TEXTS}:
                raise RuntimeError(f"another tier answered than meant: {found}")
        stopped, without = interleaved(
            2 * bench.rounds, *(partial(_hits, each, texts, count) for each in (client, other))
        )
        stopped_new, without_new = interleaved(
            bench.rounds, *(partial(_new, each, maker, count // 20) for each in (client, other))
        )
    figures = [
        Figure(f"from {hits}, Redis stopped / none, medians", "x", _ratios(stopped, without), _BAR),
        _us(f"from {hits}, Redis stopped, median", stopped),
        _us(f"from {hits}, no Redis, median", without),
    ]
    if hits == "lmdb":  # the tier is asked for new texts alone
        name = "a new text, Redis stopped / none, medians"
        figures.append(Figure(name, "x", _ratios(stopped_new, without_new)))
    return figures


def _stop_in_mid_load(redis: BenchRedis, daemon: BenchDaemon, client: Client) -> None:
    """Returns when the breaker is open; the load ends with that."""
    with under_load(daemon, "new"):
        redis.stop()
        for _ in range(_SNAPSHOTS):
            tier = _tier(client)
            if tier.state == "tripped" and tier.errors >= _TRIPS:
                break
        else:
            raise RuntimeError("the tier has not tripped in a minute")


def _up(bench: Bench) -> list[Figure]:
    """A daemon whose only tier is Redis."""
    texts = TextMaker(9).mixed(_TEXTS)
    count = bench.size(1_000, 300)
    with (
        BenchRedis() as redis,
        serving(
            bench.model,
            *bench.settings,
            "cache.memory_mib=0",
            "cache.disk_mib=0",
            f"plugin.redis.url={redis.url}",
        ) as (_, client),
    ):
        computed = client.embed_detailed(texts)
        wait_until_written(client)
        found = client.embed_detailed(texts)
        if found.hits != {"redis": _TEXTS}:
            raise RuntimeError(f"Redis does not have what was written: {found.hits}")
        check_agreement(found.vectors, computed.vectors)
        found_s, computed_s = interleaved(
            bench.rounds,
            timed(lambda: client.embed(texts), _REPEATS),
            timed(lambda: client.embed(texts, use_cache=False)),
        )
        (one,) = interleaved(bench.rounds, partial(_hits, client, texts, count))
    return [
        Figure("from Redis / computed, 64 texts", "x", ratios(computed_s, found_s)),
        Figure("from Redis", "texts/s", tuple(_TEXTS / seconds for seconds in found_s)),
        Figure("computed", "texts/s", tuple(_TEXTS / seconds for seconds in computed_s)),
        _us("from Redis, one text, median", one),
    ]


def _tier(client: Client) -> TierStats:
    tiers = client.stats(fresh=True).cache.tiers
    return next(tier for tier in tiers if tier.name == "redis")


def _hits(client: Client, texts: list[str], count: int) -> Latencies:
    calls: list[Callable[[], object]] = [
        partial(client.embed, texts[index % _TEXTS]) for index in range(count)
    ]
    return latencies(calls)


def _new(client: Client, maker: TextMaker, count: int) -> Latencies:
    texts = [maker.text(_NEW_TOKENS) for _ in range(count)]
    return latencies([partial(client.embed, text) for text in texts])


def _us(name: str, turns: list[Latencies]) -> Figure:
    return Figure(name, "us", tuple(1e6 * median for median, _ in turns))


def _ratios(slower: list[Latencies], faster: list[Latencies]) -> tuple[float, ...]:
    return ratios([median for median, _ in slower], [median for median, _ in faster])


_BAR = below(1.1)

BENCHMARK = Benchmark(
    "redis",
    "What does a Redis tier give, and what does it cost when it has gone?",
    "hits within 10% of a daemon without it",
    run,
)
