"""A single text while bulk work saturates the machine: does it wait behind the bulk?

Idle and loaded take turns. The load is another process with 512 new texts of mixed lengths in
flight at any time. A cached text should see only a busy machine. A new one has to wait until a
caller is free, so its time is told together with that of a batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from bench.benchmark import Bench, Benchmark
from bench.daemon import BenchDaemon, serving, wait_until_idle
from bench.figures import Figure, below, ratios
from bench.load import under_load
from bench.pairs import Latencies, interleaved, latencies
from bench.texts import TextMaker
from emberd.client import Client

__all__ = ["BENCHMARK"]

_QUERY_TOKENS = 10
_CACHED = 64


@dataclass(frozen=True, slots=True)
class _Turn:
    """What one turn found, in seconds."""

    cached: Latencies
    new: Latencies
    batch: Latencies = (0.0, 0.0)


class _Measurement:
    def __init__(self, bench: Bench, daemon: BenchDaemon, client: Client) -> None:
        self._daemon = daemon
        self._client = client
        self._maker = TextMaker(5)
        self._texts = self._maker.mixed(_CACHED)
        self._cached_calls = bench.size(1_000, 300)
        self._new_calls = bench.size(80, 25)
        client.embed(self._texts)

    def idle(self) -> _Turn:
        wait_until_idle(self._client)
        return self._take()

    def loaded(self) -> _Turn:
        with under_load(self._daemon, "new"):
            self._client.stats(fresh=True)  # starts a window that is all load
            turn = self._take()
            batch = self._client.stats(fresh=True).engine.batches.latency
        return _Turn(turn.cached, turn.new, (batch.p50_ms / 1e3, batch.p99_ms / 1e3))

    def _take(self) -> _Turn:
        embed = self._client.embed
        texts = self._texts
        cached: list[Callable[[], object]] = [
            partial(embed, texts[index % _CACHED]) for index in range(self._cached_calls)
        ]
        new: list[Callable[[], object]] = [
            partial(embed, self._maker.text(_QUERY_TOKENS)) for _ in range(self._new_calls)
        ]
        return _Turn(latencies(cached), latencies(new))


def run(bench: Bench) -> list[Figure]:
    with serving(bench.model, *bench.settings) as (daemon, client):
        measurement = _Measurement(bench, daemon, client)
        idle, loaded = interleaved(
            bench.few_rounds, measurement.idle, measurement.loaded, warm_up=0
        )
    new_s = [turn.new[0] for turn in loaded]
    batch_s = [turn.batch[0] for turn in loaded]
    return [
        Figure("new text / batch, medians", "x", ratios(new_s, batch_s), below(2)),
        _ms("new text under load, median", new_s),
        _ms("new text under load, p99", [turn.new[1] for turn in loaded]),
        _ms("new text idle, median", [turn.new[0] for turn in idle]),
        _ms("batch under load, median", batch_s),
        _ms("batch under load, p99", [turn.batch[1] for turn in loaded]),
        _ms("cached text under load, median", [turn.cached[0] for turn in loaded]),
        _ms("cached text under load, p99", [turn.cached[1] for turn in loaded]),
        _ms("cached text idle, median", [turn.cached[0] for turn in idle]),
        Figure(
            "cached, loaded / idle, medians",
            "x",
            ratios([turn.cached[0] for turn in loaded], [turn.cached[0] for turn in idle]),
        ),
    ]


def _ms(name: str, seconds: list[float]) -> Figure:
    return Figure(name, "ms", tuple(1e3 * each for each in seconds))


BENCHMARK = Benchmark(
    "mixed",
    "How long does a single text take while bulk work saturates the cores?",
    "a new text takes less than 2 batches",
    run,
)
