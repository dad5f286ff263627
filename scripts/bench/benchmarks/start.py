"""From nothing to an answer: what someone waits who types the first command of the day.

The daemon is started as its clients start it, on folders that hold the model and a cache from
before; `first answer` is a new text computed and received. `emberd --help` is held against the
bare interpreter, which is the part of it that nobody can take away.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from bench.benchmark import Bench, Benchmark
from bench.daemon import BenchDaemon, clean_environment
from bench.figures import Figure, below, ratios
from bench.pairs import interleaved, timed
from bench.texts import TextMaker

__all__ = ["BENCHMARK"]

_COMMAND = Path(sys.executable).parent / "emberd"


def run(bench: Bench) -> list[Figure]:
    maker = TextMaker(7)
    daemon = BenchDaemon(bench.model, *bench.settings)
    ready_s: list[float] = []

    def start() -> float:
        """Seconds until the first answer is here."""
        started = time.perf_counter()
        ready_s.append(daemon.start())
        with daemon.client() as client:
            client.embed(maker.text(10))
        answered_s = time.perf_counter() - started
        daemon.stop()
        return answered_s

    try:
        answered_s, help_s, bare_s = interleaved(
            max(5, bench.rounds),
            start,
            timed(lambda: _run(str(_COMMAND), "--help")),
            timed(lambda: _run(sys.executable, "-c", "pass")),
        )
    finally:
        daemon.stop()
        daemon.remove()
    return [
        Figure("exec to first answer", "s", tuple(answered_s), below(1.5)),
        Figure("exec to ready", "s", tuple(ready_s[-len(answered_s) :])),
        Figure("emberd --help", "ms", tuple(1e3 * seconds for seconds in help_s), below(150)),
        Figure("--help / the bare interpreter", "x", ratios(help_s, bare_s)),
    ]


def _run(*command: str) -> None:
    subprocess.run(command, env=clean_environment(), check=True, stdout=subprocess.DEVNULL, cwd="/")


BENCHMARK = Benchmark(
    "start",
    "How long from exec to the first answer, and for `emberd --help`?",
    "first answer < 1.5 s; --help < 150 ms",
    run,
)
