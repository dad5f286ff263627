"""Many new texts through the daemon and its socket, against the same engine called in process.

What is between the two is all that a daemon adds: the client's cutting, two codecs, the socket,
keys, single flight, rounding, the cache's writing. Both have the same settings and the texts of a
round are the same; no round sees a text of another round.
"""

from __future__ import annotations

from bench.agree import check_agreement
from bench.benchmark import Bench, Benchmark
from bench.daemon import serving
from bench.engine import LocalEngine
from bench.figures import Figure, at_least, ratios
from bench.pairs import interleaved, timed
from bench.texts import TextMaker

__all__ = ["BENCHMARK"]


def run(bench: Bench) -> list[Figure]:
    maker = TextMaker(4)
    count = bench.size(1_024, 128)
    warm_up = maker.mixed(64)
    texts = [maker.mixed(count) for _ in range(bench.rounds)]
    here, there = iter(texts), iter(texts)
    with (
        serving(bench.model, *bench.settings) as (_, client),
        LocalEngine(bench.model, device=bench.device) as engine,
    ):
        check_agreement(client.embed(warm_up), engine.embed(warm_up))
        client_s, engine_s = interleaved(
            bench.rounds,
            timed(lambda: client.embed(next(there), timeout_s=None)),
            timed(lambda: engine.embed(next(here))),
            warm_up=0,
        )
        found = client.stats(fresh=True).texts
        if found.hits:
            raise RuntimeError(f"{found.hits} texts came from the cache, and none should have")
    return [
        Figure("daemon / engine in process", "x", ratios(engine_s, client_s), at_least(0.95)),
        Figure("daemon", "texts/s", tuple(count / seconds for seconds in client_s)),
        Figure("engine in process", "texts/s", tuple(count / seconds for seconds in engine_s)),
    ]


BENCHMARK = Benchmark(
    "bulk", "How much of the engine's speed is left through daemon and socket?", ">= 0.95", run
)
