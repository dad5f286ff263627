"""Texts that were embedded before, against computing the same texts anew.

Both ways are the same call of the blocking client over the same socket to the same daemon; the
second says `use_cache=False`. The texts are of mixed lengths, see `bench.texts`.
"""

from __future__ import annotations

from bench.agree import check_agreement
from bench.benchmark import Bench, Benchmark
from bench.daemon import serving
from bench.figures import Figure, at_least, ratios
from bench.pairs import interleaved, timed
from bench.texts import TextMaker

__all__ = ["BENCHMARK"]

_TEXTS = 64
_REPEATS = 50  # of the cached call, which takes half a millisecond


def run(bench: Bench) -> list[Figure]:
    texts = TextMaker(1).mixed(_TEXTS)
    with serving(bench.model, *bench.settings) as (_, client):
        client.embed(texts)
        cached = client.embed_detailed(texts)
        computed = client.embed_detailed(texts, use_cache=False)
        if cached.hits != {"memory": _TEXTS} or computed.computed != _TEXTS:
            raise RuntimeError(f"the cache does not do its part: {cached.hits}, {computed.hits}")
        check_agreement(cached.vectors, computed.vectors)
        cached_s, computed_s = interleaved(
            bench.rounds,
            timed(lambda: client.embed(texts), _REPEATS),
            timed(lambda: client.embed(texts, use_cache=False)),
        )
    return [
        Figure("cached / computed, 64 texts", "x", ratios(computed_s, cached_s), at_least(50)),
        Figure("cached", "texts/s", tuple(_TEXTS / seconds for seconds in cached_s)),
        Figure("computed", "texts/s", tuple(_TEXTS / seconds for seconds in computed_s)),
    ]


BENCHMARK = Benchmark(
    "warm", "How much faster are 64 texts from the cache than computed?", ">= 50 times", run
)
