"""emberd's engine in this process, against what one writes first.

The other side: batches of 64 in order of arrival, padded to the longest, through the plain BERT
graph in one ONNX Runtime session with default options, which uses all cores. Both tokenise, both
take texts and give arrays; neither caches. The mean length of the texts decides much of the ratio
(padding costs 4 times for log-uniform lengths, 2 times for uniform ones), so both are shown (the
latter not in a quick run), and so is the usual improvement of sorting the texts first.
"""

from __future__ import annotations

from bench.agree import check_agreement
from bench.benchmark import Bench, Benchmark
from bench.engine import LocalEngine
from bench.figures import Figure, at_least, ratios
from bench.naive import NaiveEmbedder
from bench.pairs import interleaved, timed
from bench.texts import TextMaker

__all__ = ["BENCHMARK"]


def run(bench: Bench) -> list[Figure]:
    maker = TextMaker(3)
    count = bench.size(512, 128)
    mixed = maker.mixed(count)
    naive = NaiveEmbedder(bench.model, device=bench.device)
    # The other side's threads have normal priority, so ours must not have less here.
    with LocalEngine(bench.model, device=bench.device, background_priority=False) as engine:
        few = maker.mixed(16)
        check_agreement(engine.embed(few), naive.embed(few))
        ours_s, naive_s, sorted_s = interleaved(
            bench.few_rounds,
            timed(lambda: engine.embed(mixed)),
            timed(lambda: naive.embed(mixed)),
            timed(lambda: naive.embed_sorted(mixed)),
            warm_up=0,
        )
        uniform = [] if bench.is_quick else [_uniform(bench, engine, naive, maker)]
    return [
        Figure("engine / batches of 64, padded", "x", ratios(naive_s, ours_s), at_least(4)),
        Figure("engine", "texts/s", tuple(count / seconds for seconds in ours_s)),
        Figure("batches of 64, padded", "texts/s", tuple(count / seconds for seconds in naive_s)),
        Figure("engine / sorted batches of 64", "x", ratios(sorted_s, ours_s)),
        *uniform,
    ]


def _uniform(bench: Bench, engine: LocalEngine, naive: NaiveEmbedder, maker: TextMaker) -> Figure:
    texts = maker.uniform(256)
    ours_s, naive_s = interleaved(
        bench.few_rounds,
        timed(lambda: engine.embed(texts)),
        timed(lambda: naive.embed(texts)),
        warm_up=0,
    )
    return Figure("engine / padded, uniform lengths", "x", ratios(naive_s, ours_s))


BENCHMARK = Benchmark(
    "schedule",
    "What do graph, planner and callers gain over padded batches of 64?",
    ">= 4 times",
    run,
)
