"""The longest time that the daemon's event loop was busy at a stretch, as its own snapshots say.

While it lasts nobody is served, not even from the cache. Two loads: new texts, which saturate the
callers, and requests of 4,096 cached texts each, which are all event loop, codec and copying. Pings
from here run beside them: what a client sees of it, the machine's own scheduling included.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bench.benchmark import Bench, Benchmark
from bench.daemon import BenchDaemon, serving, wait_until_idle
from bench.figures import Figure, below
from bench.load import Kind, under_load
from bench.pairs import interleaved, timed
from bench.texts import TextMaker
from emberd.client import Client

__all__ = ["BENCHMARK"]

_PING_PAUSE_S = 0.002


@dataclass(frozen=True, slots=True)
class _Worst:
    """Of one turn, in milliseconds."""

    lag_ms: float
    ping_ms: float


def run(bench: Bench) -> list[Figure]:
    windows = bench.size(6, 2)
    with serving(bench.model, *bench.settings) as (daemon, client):
        client.embed(TextMaker(6).mixed(64))
        idle, new, cached = interleaved(
            bench.few_rounds,
            lambda: _watch(daemon, client, windows),
            lambda: _under(daemon, client, "new", windows),
            lambda: _under(daemon, client, "cached", windows),
            warm_up=0,
        )
    return [
        _worst("lag under new texts", [turn.lag_ms for turn in new], is_held=True),
        _worst("lag under cached texts", [turn.lag_ms for turn in cached], is_held=True),
        _worst("lag when idle", [turn.lag_ms for turn in idle]),
        _worst("ping under new texts", [turn.ping_ms for turn in new]),
        _worst("ping under cached texts", [turn.ping_ms for turn in cached]),
        _worst("ping when idle", [turn.ping_ms for turn in idle]),
    ]


def _under(daemon: BenchDaemon, client: Client, kind: Kind, windows: int) -> _Worst:
    with under_load(daemon, kind):
        client.stats(fresh=True)  # ends a window that began before the load
        worst = _watch(daemon, client, windows)
    wait_until_idle(client)
    return worst


def _watch(daemon: BenchDaemon, client: Client, windows: int) -> _Worst:
    """The worst of so many snapshots, one a second, and of the pings meanwhile."""
    ping = timed(client.ping)
    worst_s = 0.0
    with daemon.client() as other, ThreadPoolExecutor(1) as pool:
        lag_ms = pool.submit(_worst_lag_ms, other, windows)
        while not lag_ms.done():
            worst_s = max(worst_s, ping())
            time.sleep(_PING_PAUSE_S)
    return _Worst(lag_ms.result(), worst_s * 1e3)


def _worst_lag_ms(client: Client, windows: int) -> float:
    return max(client.stats(fresh=True).daemon.loop_lag_ms for _ in range(windows))


def _worst(name: str, samples: list[float], *, is_held: bool = False) -> Figure:
    bar = below(50) if is_held else None
    return Figure(f"worst {name}", "ms", tuple(samples), bar, summary="worst")


BENCHMARK = Benchmark(
    "loop", "How long is the event loop busy at a stretch under load?", "worst < 50 ms", run
)
