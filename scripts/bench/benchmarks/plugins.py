"""What plugins cost a request that they have nothing to do with: a hit.

Three daemons answer the same cached texts in turns: one that loads no plugin, a second of the same
kind, whose ratio to the first is the noise of this machine, and one with a rate limiter and its
bookkeeping. Then new texts, which do ask the limiter.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from bench.benchmark import Bench, Benchmark
from bench.daemon import BenchDaemon, serving
from bench.figures import Figure, at_least, ratios
from bench.pairs import Latencies, interleaved, latencies
from bench.texts import TextMaker
from emberd.client import Client

__all__ = ["BENCHMARK"]

_TEXTS = 64
_NEW_TOKENS = 10
_LIMITS = (
    "plugin.limits.client.requests_per_minute=100000000",
    "plugin.limits.client.tokens_per_minute=100000000000",
)


def run(bench: Bench) -> list[Figure]:
    maker = TextMaker(10)
    texts, count = maker.mixed(_TEXTS), bench.size(4_000, 600)
    with (
        serving(bench.model, *bench.settings) as (bare, _),
        serving(bench.model, *bench.settings) as (other, _),
        serving(bench.model, *bench.settings, *_LIMITS) as (limited, client),
    ):
        _check(client)
        daemons = (bare, other, limited)
        alone = interleaved(
            3 * bench.rounds, *(partial(_singles, each, texts, count // 3) for each in daemons)
        )
        together = interleaved(
            3 * bench.rounds, *(partial(_batches, each, texts, count // 12) for each in daemons)
        )
        fresh = interleaved(
            bench.rounds, *(partial(_new, each, maker, count // 20) for each in daemons)
        )
    return [
        Figure("one hit, none / a limiter", "x", _ratios(alone, 2), at_least(0.97)),
        Figure("64 hits, none / a limiter", "x", _ratios(together, 2), at_least(0.97)),
        Figure("a new text, none / a limiter", "x", _ratios(fresh, 2)),
        Figure("one hit, none / none", "x", _ratios(alone, 1)),
        Figure("64 hits, none / none", "x", _ratios(together, 1)),
        Figure("one hit, none, median", "us", tuple(1e6 * each for each, _ in alone[0])),
        Figure("one hit, a limiter, median", "us", tuple(1e6 * each for each, _ in alone[2])),
    ]


def _check(client: Client) -> None:
    (limits,) = (each for each in client.plugins() if each.name == "limits")
    if limits.state != "enabled":
        raise RuntimeError(f"the limiter is {limits.state}: {limits.message}")


def _singles(daemon: BenchDaemon, texts: list[str], count: int) -> Latencies:
    return _asked(daemon, texts, [texts[index % _TEXTS] for index in range(count)])


def _batches(daemon: BenchDaemon, texts: list[str], count: int) -> Latencies:
    return _asked(daemon, texts, [texts] * count)


def _new(daemon: BenchDaemon, maker: TextMaker, count: int) -> Latencies:
    texts = [maker.text(_NEW_TOKENS) for _ in range(count)]
    return _asked(daemon, maker.text(_NEW_TOKENS), texts)


def _asked(
    daemon: BenchDaemon, warm_up: str | list[str], asked: Sequence[str | list[str]]
) -> Latencies:
    """From a client of this turn: where in memory one lies makes a tenth of its time."""
    with daemon.client() as client:
        client.embed(warm_up)
        return latencies([partial(client.embed, each) for each in asked])


def _ratios(turns: list[list[Latencies]], which: int) -> tuple[float, ...]:
    """Medians of the daemon without plugins over those of another."""
    return ratios([median for median, _ in turns[0]], [median for median, _ in turns[which]])


BENCHMARK = Benchmark(
    "plugins",
    "What do plugins cost a hit?",
    ">= 0.97 of a daemon that loads none",
    run,
)
