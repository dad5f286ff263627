"""The command: which benchmarks, how often, what is printed and kept."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any, cast

from bench.benchmark import Bench, Benchmark, Device, LeftOutError, Result
from bench.chart import write_charts
from bench.machine import Neighbours, spin_ms
from bench.record import Record
from bench.table import render, warn

__all__ = ["main"]

_ROUNDS, _QUICK_ROUNDS = 5, 3
_DESCRIPTION = """\
Measure emberd. Each benchmark starts a daemon of its own on temporary folders and takes turns
between alternatives; your own daemon is not touched. Figures of one machine are only comparable
with each other: what counts is the ratios.
"""
_EXAMPLES = """\
examples:
  .venv/bin/python scripts/bench                            all of it, about sixteen minutes
  .venv/bin/python scripts/bench --quick                    a rough answer in under three minutes
  .venv/bin/python scripts/bench --only warm --only single  some of it
  .venv/bin/python scripts/bench --only peers               beside other programs, installed for it
  .venv/bin/python scripts/bench --json today.json          keep samples, machine and versions
  .venv/bin/python scripts/bench --check                    exit code 1 where a bar is not met
  .venv/bin/python scripts/bench --list                     the benchmarks and their bars

The default model is fetched the first time. EMBERD_TEST_STORE, or --store, names a folder of
models that is there already.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run; 0, or 1 where a benchmark could not run or (with --check) a bar is not met."""
    options = _parser().parse_args(arguments)
    if options.chart is not None:
        return _draw(options.chart)
    from bench.benchmarks import BENCHMARKS  # noqa: PLC0415 - numpy and more: not for --help

    if options.list:
        print(_listed(BENCHMARKS))
        return 0
    unknown = [name for name in options.only if name not in BENCHMARKS]
    if unknown:
        print(f"error: no benchmark {unknown[0]!r}; --list shows them", file=sys.stderr)
        return 2
    chosen = [
        benchmark
        for name, benchmark in BENCHMARKS.items()
        if name in options.only or options.all or not (options.only or benchmark.is_on_request)
    ]
    bench = _bench(options)
    record = Record(_command(arguments), _kept(options))
    results = [result for each in chosen if (result := _run(each, bench)) is not None]
    if any(result.figures for result in results):
        print(render(results))
    if warning := warn(results):
        print(warning, file=sys.stderr)
    if options.json is not None:
        record.write(options.json, results)
    has_missed = any(figure.is_met is False for found in results for figure in found.figures)
    return int(len(results) < len(chosen) or (options.check and has_missed))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--only", metavar="NAME", action="append", default=[], help="run this one; may be repeated")
    add("--all", action="store_true", help="those too that run on request only")
    add("--rounds", metavar="N", type=_count, help=f"samples of each figure (default {_ROUNDS})")
    add("--quick", action="store_true", help="fewer texts, rounds and figures: under three minutes")
    add("--json", metavar="FILE", type=Path, help="write the results, with all samples, to FILE")
    add("--chart", metavar="FILE", type=Path, help="draw charts of results beside them, and end")
    add("--check", action="store_true", help="end with 1 where a bar is not met")
    add("--list", action="store_true", help="print the benchmarks with their bars, and end")
    add("--device", choices=("cpu", "auto", "cuda"), default="cpu", help="default: cpu")
    add("--peak-tflops", metavar="N", type=float, default=0.0, help="of the GPU, for its share")
    add("--store", metavar="DIR", type=Path, help="a folder of models, as the daemon keeps it")
    return parser


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return count


def _bench(options: argparse.Namespace) -> Bench:
    import platformdirs  # noqa: PLC0415

    from emberd.models import DEFAULT_MODEL, ModelStore, pull  # noqa: PLC0415

    named = options.store or os.environ.get("EMBERD_TEST_STORE")
    # The tests' own folder: the model is fetched once for both.
    store = ModelStore(Path(named or platformdirs.user_cache_path("emberd-tests") / "models"))
    model = store.find(DEFAULT_MODEL) or pull(DEFAULT_MODEL, store)
    device = cast(Device, options.device)
    return Bench(model, device, _rounds(options), options.quick, options.peak_tflops)


def _rounds(options: argparse.Namespace) -> int:
    return int(options.rounds or (_QUICK_ROUNDS if options.quick else _ROUNDS))


def _run(benchmark: Benchmark, bench: Bench) -> Result | None:
    """Its figures; None where it failed, which does not end the run."""
    print(f"{benchmark.name}: {benchmark.question}", file=sys.stderr, end=" ", flush=True)
    spin_before_ms, started, neighbours = spin_ms(), time.perf_counter(), Neighbours()
    try:
        figures = tuple(benchmark.run(bench))
    except LeftOutError as exc:
        print(f"left out, as {exc}", file=sys.stderr)
        return Result(benchmark.name, ())
    except Exception:
        print("failed", file=sys.stderr)
        traceback.print_exc()
        return None
    seconds = time.perf_counter() - started
    print(f"{seconds:.0f} s", file=sys.stderr)
    spins_ms = (spin_before_ms, spin_ms())
    return Result(benchmark.name, figures, seconds, neighbours.share(), spins_ms)


def _draw(file: Path) -> int:
    try:
        written = write_charts(json.loads(file.read_text("utf-8")), file.parent)
    except (OSError, ValueError, LookupError, TypeError) as exc:
        print(f"error: {file} holds no results ({exc})", file=sys.stderr)
        return 1
    print("\n".join(map(str, written)) or "no chart: it has neither peers nor scale")
    return 0


def _listed(benchmarks: dict[str, Benchmark]) -> str:
    width = max(map(len, benchmarks))
    lines = []
    for name, benchmark in benchmarks.items():
        asked = f" (on request: --only {name})" if benchmark.is_on_request else ""
        lines.append(
            f"{name:{width}}  {benchmark.question}\n{'':{width}}  bar: {benchmark.bar}{asked}"
        )
    return "\n".join(lines)


def _command(arguments: list[str] | None) -> list[str]:
    """As one would type it again; a path is kept by its last part only."""
    words = sys.argv[1:] if arguments is None else arguments
    return ["scripts/bench", *(Path(word).name if "/" in word else word for word in words)]


def _kept(options: argparse.Namespace) -> dict[str, Any]:
    kept = {"rounds": _rounds(options), "quick": options.quick, "device": options.device}
    return {**kept, "peak_tflops": options.peak_tflops} if options.peak_tflops else kept
