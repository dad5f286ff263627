"""What the made-up daemon has: models, collections and plugins, at a second of its life."""

from __future__ import annotations

import msgspec

from emberd.wire.snapshot import CollectionStats, Latency, ModelStats, PluginStats

__all__ = ["demo_collections", "demo_models", "demo_plugins"]


def demo_models(computed: int) -> list[ModelStats]:
    return [
        ModelStats(
            name="all-MiniLM-L6-v2",
            fingerprint="3f" * 16,
            dim=384,
            max_tokens=256,
            is_default=True,
            texts=computed + 248_000,
            idle_s=0.0,
        ),
        ModelStats(
            name="bge-small-en-v1.5",
            fingerprint="a1" * 16,
            dim=384,
            max_tokens=512,
            texts=12_204,
            idle_s=1_600.0,
            unloads_in_s=200.0,
        ),
    ]


def demo_collections(second: int) -> list[CollectionStats]:
    latency = Latency(count=4, p50_ms=2.1, p90_ms=4.4, p99_ms=7.9, max_ms=12.0)
    return [
        CollectionStats(
            name="archive",
            model="all-MiniLM-L6-v2",
            dim=384,
            size_bytes=3_100_000_000,
            count=1_204_118,
        ),
        CollectionStats(
            name="mail",
            model="all-MiniLM-L6-v2",
            dim=384,
            state="rebuilding",
            version=61_204,
            count=88_412,
            deleted=31_006,
            size_bytes=402_000_000,
            memory_bytes=181_000_000,
            graph="ok",
            indexed=88_000,
            rebuild_ratio=min(0.2 + second / 400, 0.97),
            checkpoint_age_s=844.0 + second,
            recall=0.971,
            ef=96,
            queries=9_120 + second,
            cached=2_204,
            upserted=119_418,
            removed=31_006,
            latency=latency,
        ),
        CollectionStats(
            name="notes",
            model="all-MiniLM-L6-v2",
            dim=384,
            state="ready",
            version=7_204 + second // 3,
            count=4_218 + second // 3,
            deleted=112,
            size_bytes=19_300_000,
            memory_bytes=9_100_000,
            graph="off",
            recall=None,
            queries=41_207 + 3 * second,
            cached=11_802,
            upserted=7_312,
            removed=112,
            latency=msgspec.structs.replace(latency, p50_ms=0.61, p99_ms=1.42),
        ),
    ]


def demo_plugins(second: int, wanted: float) -> list[PluginStats]:
    calls = round(wanted / 8)
    return [
        PluginStats(
            name="journal",
            version="0.1.0",
            source="emberd-journal",
            summary="Writes a line a request to a file.",
            provides=["observer journal"],
            calls=8_000 + second,
            busy_s=0.9,
            latency=Latency(count=1, p50_ms=0.4, p90_ms=0.4, p99_ms=0.4, max_ms=0.4),
            statistics={"lines": 640_000 + 18 * second},
        ),
        PluginStats(
            name="limits",
            version="0.1.0",
            source="emberd-limits",
            summary="Limits clients by texts a minute.",
            provides=["rate limiter per_minute"],
            calls=310_000 + 9 * second,
            busy_s=4.2,
            latency=Latency(count=calls, p50_ms=0.02, p90_ms=0.03, p99_ms=0.05, max_ms=0.2),
            statistics={"refused": 412, "clients": 7},
        ),
        PluginStats(
            name="lmdb",
            version="0.1.0",
            source="emberd",
            summary="The tier on disk.",
            provides=["cache tier lmdb"],
            calls=402_000 + 11 * second,
            busy_s=61.0,
            latency=Latency(count=calls, p50_ms=0.09, p90_ms=0.2, p99_ms=0.61, max_ms=1.9),
        ),
    ]
