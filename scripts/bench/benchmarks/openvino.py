"""Many new texts through the daemon with the openvino plugin, and through OpenVINO driven directly.

Both compute in bfloat16 on one stream a core at the same priority. The plugin batches texts of
equal length only, which gives the same bits alone and together; the script pads. Beside it the same
daemon's own engine, which is exact. What other programs take disturbs the processor times least.
Left out where OpenVINO is not installed, or the CPU does not compute in bfloat16.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from bench.agree import check_agreement
from bench.benchmark import Bench, Benchmark, LeftOutError
from bench.daemon import serving
from bench.figures import Figure, at_least, ratios
from bench.pairs import interleaved
from bench.texts import TextMaker
from emberd.client import Client

__all__ = ["BENCHMARK"]

_EXACT_SHARE = 4  # the exact engine gets so much less to do: it is there for the proportion


def run(bench: Bench) -> list[Figure]:
    maker = TextMaker(10)
    count = bench.size(2_048, 512)
    warm_up = maker.mixed(128)
    rounds = bench.size(bench.rounds, bench.few_rounds)
    texts = [maker.mixed(count) for _ in range(rounds + 1)]  # a round warms up shapes
    few = [each[: count // _EXACT_SHARE] for each in texts]
    here, there, exact_there = iter(texts), iter(texts), iter(few)
    name = bench.model.info.name
    with serving(bench.model, *bench.settings, "models.embedder=openvino") as (daemon, client):
        _check(client, name)
        from bench.direct_openvino import DirectOpenVino  # noqa: PLC0415 - it may be missing

        direct = DirectOpenVino(bench.model)
        vectors = client.embed(warm_up)
        check_agreement(vectors, direct.embed(warm_up))
        check_agreement(vectors, client.embed(warm_up, model=name))
        ours, theirs, exact = interleaved(
            rounds,
            _timed(lambda: client.embed(next(there), timeout_s=None), daemon.cpu_s),
            _timed(lambda: direct.embed(next(here)), time.process_time),
            _timed(
                lambda: client.embed(next(exact_there), model=name, timeout_s=None), daemon.cpu_s
            ),
        )
    daemon_s, direct_s = [turn.wall_s for turn in ours], [turn.wall_s for turn in theirs]
    exact_s = [_EXACT_SHARE * turn.wall_s for turn in exact]
    cpu = ratios([turn.cpu_s for turn in theirs], [turn.cpu_s for turn in ours])
    exact_cpu = ratios([_EXACT_SHARE * turn.cpu_s for turn in exact], [turn.cpu_s for turn in ours])
    return [
        Figure("daemon / OpenVINO directly", "x", ratios(direct_s, daemon_s), at_least(0.95)),
        Figure("daemon / directly, processor time", "x", cpu),
        Figure("daemon, openvino / exact", "x", ratios(exact_s, daemon_s)),
        Figure("openvino / exact, processor time", "x", exact_cpu),
        Figure("daemon, openvino", "texts/s", tuple(count / seconds for seconds in daemon_s)),
        Figure("OpenVINO directly", "texts/s", tuple(count / seconds for seconds in direct_s)),
        Figure("daemon, exact", "texts/s", tuple(count / seconds for seconds in exact_s)),
    ]


class _Turn(NamedTuple):
    wall_s: float
    cpu_s: float


def _timed(work: Callable[[], object], cpu_s: Callable[[], float]) -> Callable[[], _Turn]:
    def take() -> _Turn:
        cpu, started = cpu_s(), time.perf_counter()
        work()
        return _Turn(time.perf_counter() - started, cpu_s() - cpu)

    return take


def _check(client: Client, name: str) -> None:
    if client.hello().default_model == f"{name}@openvino":
        return
    found = {plugin.name: plugin.message for plugin in client.plugins()}
    raise LeftOutError(found.get("openvino") or "the openvino plugin is not installed")


BENCHMARK = Benchmark(
    "openvino", "Is the openvino plugin as fast as a script that drives OpenVINO?", ">= 0.95", run
)
