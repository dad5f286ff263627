"""The longest time that the daemon's event loop was busy at a stretch, as its own snapshots say.

While it lasts nobody is served, not even from the cache. Two loads: new texts, which saturate the
callers, and requests of 4,096 cached texts each, which are all event loop, codec and copying.
"""

from __future__ import annotations

from bench.benchmark import Bench, Benchmark
from bench.daemon import BenchDaemon, serving, wait_until_idle
from bench.figures import Figure, below
from bench.load import Kind, under_load
from bench.pairs import interleaved
from bench.texts import TextMaker
from emberd.client import Client

__all__ = ["BENCHMARK"]


def run(bench: Bench) -> list[Figure]:
    windows = bench.size(6, 3)
    with serving(bench.model, *bench.settings) as (daemon, client):
        client.embed(TextMaker(6).mixed(64))
        idle, new, cached = interleaved(
            max(3, bench.rounds // 2 + 1),
            lambda: _worst_ms(client, 2),
            lambda: _loaded_ms(daemon, client, "new", windows),
            lambda: _loaded_ms(daemon, client, "cached", windows),
            warm_up=0,
        )
    return [
        Figure("lag under new texts", "ms", tuple(new), below(50), summary="worst"),
        Figure("lag under cached texts", "ms", tuple(cached), below(50), summary="worst"),
        Figure("lag when idle", "ms", tuple(idle), summary="worst"),
    ]


def _loaded_ms(daemon: BenchDaemon, client: Client, kind: Kind, windows: int) -> float:
    with under_load(daemon, kind):
        client.stats(fresh=True)  # ends a window that began before the load
        worst = _worst_ms(client, windows)
    wait_until_idle(client)
    return worst


def _worst_ms(client: Client, windows: int) -> float:
    """The worst lag of so many snapshots, one a second."""
    return max(client.stats(fresh=True).daemon.loop_lag_ms for _ in range(windows))


BENCHMARK = Benchmark(
    "loop", "How long is the event loop busy at a stretch under load?", "worst < 50 ms", run
)
