"""Every benchmark, in the order in which they run. A new one is a module here and a line below."""

from __future__ import annotations

from bench.benchmark import Benchmark
from bench.benchmarks import (
    bulk,
    caches,
    collections,
    dashboard,
    gpu,
    hits,
    loop,
    mixed,
    openvino,
    peers,
    plugins,
    precision,
    redis,
    scale,
    schedule,
    single,
    start,
    warm,
)

__all__ = ["BENCHMARKS"]

BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (
        warm.BENCHMARK,
        single.BENCHMARK,
        hits.BENCHMARK,
        schedule.BENCHMARK,
        precision.BENCHMARK,
        bulk.BENCHMARK,
        mixed.BENCHMARK,
        loop.BENCHMARK,
        start.BENCHMARK,
        collections.BENCHMARK,
        redis.BENCHMARK,
        plugins.BENCHMARK,
        peers.BENCHMARK,
        gpu.BENCHMARK,
        caches.BENCHMARK,
        scale.BENCHMARK,
        dashboard.BENCHMARK,
        openvino.BENCHMARK,
    )
}
