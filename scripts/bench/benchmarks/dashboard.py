"""What it costs to watch: `emberd top` in a terminal of 160x48 at one snapshot a second.

Costs are processor time (user and system) by wall time, so that other programs on the machine move
them little: of the dashboard, screen by screen, on a daemon under a steady load; and of the idle
daemon with and without a dashboard, in turns, whose difference is the price of the subscription.
The time to the first frame is wall time, without load, and wants a quiet machine.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench.benchmark import Bench, Benchmark
from bench.daemon import BenchDaemon, serving, wait_until_idle
from bench.figures import Bar, Figure, below
from bench.load import under_load
from bench.pairs import interleaved
from bench.terminal import Terminal
from bench.texts import TextMaker

__all__ = ["BENCHMARK"]

_COMMAND = str(Path(sys.executable).parent / "emberd")
_ALTERNATE_SCREEN = "\x1b[?1049h"
_SCREENS = ("overview", "requests", "cache", "index", "plugins", "logs")


class _Slice(NamedTuple):
    """Of some seconds: per cent of a core, and bytes/s to the terminal."""

    cpu: float
    bytes_per_s: float


class _Start(NamedTuple):
    """Seconds until the title is on the alternate screen, and until the daemon's state is."""

    frame_s: float
    cpu_s: float
    """Processor time until the first frame."""
    live_s: float


def run(bench: Bench) -> list[Figure]:
    # Processor time is counted in 10 ms: 0.2% of a slice, 0.5% in a quick run.
    slice_s, settle_s = bench.size(5, 2), bench.size(2, 1)
    idle_s = bench.size(15, 3)
    with serving(bench.model, *bench.settings) as (daemon, client):
        client.embed(TextMaker(11).mixed(64))
        wait_until_idle(client)
        _start(daemon)  # brings its modules into memory
        starts = [_start(daemon) for _ in range(bench.size(7, 3))]
        shares = interleaved(
            bench.few_rounds,
            partial(_watched, daemon, settle_s, idle_s),
            partial(_share, daemon.cpu_s, idle_s),
            warm_up=0,
        )
        slices = dict.fromkeys(_SCREENS, bench.size(4, 1)) | {"overview": bench.size(12, 1)}
        with under_load(daemon, "steady"), _dashboard(daemon) as terminal:
            terminal.wait_for("serving")
            screens = {
                name: _screen(terminal, str(number), settle_s, slice_s, count)
                for number, (name, count) in enumerate(slices.items(), start=1)
            }
    return [
        *(_cpu(name, slices, below(3)) for name, slices in screens.items()),
        Figure(
            "the daemon, watched - alone",
            "% of a core",
            tuple(watched - alone for watched, alone in zip(*shares, strict=True)),
            below(0.5),
        ),
        Figure("the daemon alone, idle", "% of a core", tuple(shares[1])),
        _ms("first frame", [each.frame_s for each in starts], below(500)),
        _ms("first frame, processor", [each.cpu_s for each in starts]),
        _ms("first figures of the daemon", [each.live_s for each in starts]),
        *(_bytes(name, slices) for name, slices in screens.items()),
    ]


def _dashboard(daemon: BenchDaemon) -> Terminal:
    return Terminal([_COMMAND, "top"], {"EMBERD_HOME": str(daemon.home)})


def _start(daemon: BenchDaemon) -> _Start:
    with _dashboard(daemon) as terminal:
        frame_s = terminal.wait_for(_ALTERNATE_SCREEN, "emberd")
        return _Start(frame_s, terminal.cpu_s(), terminal.wait_for("serving"))


def _watched(daemon: BenchDaemon, settle_s: float, seconds: float) -> float:
    with _dashboard(daemon) as terminal:
        terminal.wait_for("serving")
        time.sleep(settle_s)
        return _share(daemon.cpu_s, seconds)


def _screen(
    terminal: Terminal, key: str, settle_s: float, slice_s: float, count: int
) -> list[_Slice]:
    """So many slices of a screen, one after another."""
    terminal.press(key)
    time.sleep(settle_s)
    return [_slice(terminal, slice_s) for _ in range(count)]


def _slice(terminal: Terminal, seconds: float) -> _Slice:
    before = terminal.size_bytes
    cpu = _share(terminal.cpu_s, seconds)
    return _Slice(cpu, (terminal.size_bytes - before) / seconds)


def _share(cpu_s: Callable[[], float], seconds: float) -> float:
    """Per cent of a core."""
    before, started = cpu_s(), time.perf_counter()
    time.sleep(seconds)
    return 100 * (cpu_s() - before) / (time.perf_counter() - started)


def _cpu(name: str, slices: list[_Slice], bar: Bar) -> Figure:
    return Figure(f"{name}, processor", "% of a core", tuple(each.cpu for each in slices), bar)


def _ms(name: str, seconds: list[float], bar: Bar | None = None) -> Figure:
    return Figure(name, "ms", tuple(1e3 * each for each in seconds), bar)


def _bytes(name: str, slices: list[_Slice]) -> Figure:
    return Figure(f"{name}, drawn", "B/s", tuple(each.bytes_per_s for each in slices))


BENCHMARK = Benchmark(
    "dashboard",
    "What does a dashboard cost, and how soon is it there?",
    "< 3% of a core on every screen; < 0.5% in the daemon; first frame < 500 ms",
    run,
)
