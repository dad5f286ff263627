"""A made-up daemon with plausible figures: for looking at the dashboard, and for its pictures."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from emberd.wire.snapshot import (
    BatchStats,
    CacheStats,
    ClientLimit,
    ClientStats,
    DaemonStats,
    EngineStats,
    EventRecord,
    IndexStats,
    Latency,
    MethodStats,
    NamespaceStats,
    RequestStats,
    Snapshot,
    TextStats,
    TierStats,
    WriteBehindStats,
)
from emberd_tui.answers import Answer
from emberd_tui.asks import Ask
from emberd_tui.demo_answers import demo_answer
from emberd_tui.demo_parts import demo_collections, demo_models, demo_plugins
from emberd_tui.source import DEMO_ADDRESS
from emberd_tui.states import Connecting, Live, State

__all__ = ["DemoSource", "demo_snapshots"]


_CAPACITY = 520.0  # texts a second that the made-up device computes
_TOKENS = 22.0
_RECORD_BYTES = 882
_ANSWER_S = 0.05
_STARTED = 1_767_261_600.0  # Unix seconds; any fixed moment


@dataclass(slots=True)
class _Client:
    """A caller with a rhythm: `level` texts/s on average, in waves of `period_s`."""

    id: int
    name: str
    pid: int
    transport: str
    level: float
    hit_ratio: float
    period_s: float
    burst: float
    requests: int = 0
    texts: int = 0

    def wanted(self, t: float, chance: random.Random) -> float:
        wave = 0.5 + 0.5 * math.sin(2 * math.pi * (t + 37 * self.id) / self.period_s)
        mean = self.level * (1 - self.burst + 2 * self.burst * wave**4)
        return mean * chance.uniform(0.85, 1.15)


def _callers() -> list[_Client]:
    return [
        _Client(1, "rag-service", 48_213, "http", 420, 0.91, 97, 0.35),
        _Client(2, "notes-indexer", 51_877, "unix", 260, 0.62, 143, 0.98),
        _Client(3, "nvim", 60_412, "unix", 14, 0.71, 61, 0.6),
        _Client(4, "mail-search", 39_020, "unix", 90, 0.97, 79, 0.5),
        _Client(5, "jupyter", 61_544, "unix", 300, 0.18, 211, 1.0),
        _Client(6, "code-review", 58_101, "tcp", 32, 0.84, 53, 0.5),
        _Client(7, "photo-tagger", 47_666, "unix", 0, 0.0, 60, 0.0),
    ]


_EVENTS = (
    EventRecord(time=_STARTED, level="info", event="daemon.started", message="emberd 0.1.0"),
    EventRecord(
        time=_STARTED + 1.4,
        level="info",
        event="model.loaded",
        message="all-MiniLM-L6-v2 in 1.2 s, 384 dim",
    ),
    EventRecord(
        time=_STARTED + 63,
        level="warning",
        event="request.overloaded",
        message="jupyter: 4,096 texts refused, retry after 180 ms",
    ),
    EventRecord(
        time=_STARTED + 140,
        level="info",
        event="cache.swept",
        message="lmdb: 1,204 expired records in 3 ms",
    ),
    EventRecord(
        time=_STARTED + 221,
        level="error",
        event="text.failed",
        message="photo-tagger: text 17 is over the byte limit (1,310,720 > 1,048,576)",
    ),
    EventRecord(
        time=_STARTED + 263, level="info", event="client.connected", message="code-review (tcp)"
    ),
)


def demo_snapshots(seed: int = 7) -> Iterator[Snapshot]:
    """One snapshot a made-up second, for ever; equal seeds give equal figures."""
    chance = random.Random(seed)  # noqa: S311 - figures, not secrets
    callers = _callers()
    received = hits = computed = 0
    queue = 0.0
    second = 0
    while True:
        second += 1
        wanted = [caller.wanted(second, chance) for caller in callers]
        found = [rate * caller.hit_ratio for rate, caller in zip(wanted, callers, strict=True)]
        queue += sum(wanted) - sum(found)
        done = min(queue, _CAPACITY * chance.uniform(0.94, 1.0))
        queue -= done
        received += round(sum(wanted))
        hits += round(sum(found))
        computed += round(done)
        for caller, rate in zip(callers, wanted, strict=True):
            caller.texts += round(rate)
            caller.requests += math.ceil(rate / 8)
        totals = (received, hits, computed)
        yield _snapshot(second, callers, wanted, sum(found), done, queue, totals, chance)


def _snapshot(
    second: int,
    callers: list[_Client],
    wanted: list[float],
    found: float,
    done: float,
    queue: float,
    totals: tuple[int, int, int],
    chance: random.Random,
) -> Snapshot:
    busy = done / _CAPACITY
    wait_ms = queue / _CAPACITY * 1e3
    latency = _latency(sum(wanted), 0.28 * chance.uniform(0.9, 1.2), 31 + wait_ms, chance)
    return Snapshot(
        sequence=second,
        time=_STARTED + second,
        daemon=DaemonStats(
            version="0.1.0",
            pid=41_027,
            uptime_s=8_040.0 + second,
            socket="/run/user/1000/emberd/emberd.sock",
            rss_bytes=418_000_000 + 900 * second,
            cpu_ratio=0.06 + 1.9 * busy,
            loop_lag_ms=chance.uniform(0.3, 2.4),
        ),
        requests=_requests(sum(wanted), latency, callers, busy),
        texts=_texts(sum(wanted), found, done, totals),
        cache=_cache(totals, chance),
        engine=_engine(busy, done, queue, second, chance),
        models=demo_models(totals[2]),
        index=IndexStats(collections=demo_collections(second)),
        plugins=demo_plugins(second, sum(wanted)),
        clients=_clients(callers, wanted, second, wait_ms, chance),
        events=[event for event in _EVENTS if event.time <= _STARTED + second],
    )


def _latency(count: float, p50: float, p99: float, chance: random.Random) -> Latency:
    p99 *= chance.uniform(0.85, 1.2)
    return Latency(
        count=round(count / 8), p50_ms=p50, p90_ms=p99 * 0.42, p99_ms=p99, max_ms=p99 * 1.3
    )


def _requests(wanted: float, latency: Latency, callers: list[_Client], busy: float) -> RequestStats:
    total = sum(caller.requests for caller in callers)
    return RequestStats(
        total=total,
        failed=3,
        in_flight=round(1 + busy * 9),
        per_s=wanted / 8,
        latency=latency,
        methods={
            "embed": MethodStats(requests=total - 420, failed=3, latency=latency),
            "similarity": MethodStats(
                requests=402,
                latency=Latency(count=2, p50_ms=18.2, p90_ms=24, p99_ms=26.1, max_ms=27),
            ),
            "stats.subscribe": MethodStats(requests=2),
            "hello": MethodStats(requests=16),
        },
    )


def _texts(wanted: float, found: float, done: float, totals: tuple[int, int, int]) -> TextStats:
    received, hits, computed = totals
    return TextStats(
        received=received + 2_400_000,
        deduplicated=31_204,
        hits=hits + 2_104_000,
        computed=computed + 260_000,
        failed=1,
        truncated=212,
        received_per_s=wanted,
        deduplicated_per_s=wanted * 0.006,
        per_s=found + done,
        hits_per_s=found,
        computed_per_s=done,
        hit_ratio=found / (found + done) if wanted else 0.0,
        saved_s=(hits + 2_104_000) / _CAPACITY,
    )


def _cache(totals: tuple[int, int, int], chance: random.Random) -> CacheStats:
    _, hits, computed = totals
    memory_hits = round(hits * 0.86)
    entries = 198_000 + computed // 4
    stored = 2_610_000 + computed
    return CacheStats(
        tiers=[
            TierStats(
                name="memory",
                kind="clock",
                hits=memory_hits,
                misses=hits + computed - memory_hits,
                entries=entries,
                size_bytes=entries * 1_004,
                budget_bytes=256 << 20,
                evictions=74_210 + computed // 2,
                lookup=Latency(count=9, p50_ms=0.01, p90_ms=0.01, p99_ms=0.02, max_ms=0.1),
            ),
            TierStats(
                name="lmdb",
                kind="lmdb",
                hits=hits - memory_hits,
                misses=computed,
                entries=stored,
                size_bytes=stored * _RECORD_BYTES,
                budget_bytes=4 << 30,
                expired=1_204,
                lookup=Latency(count=9, p50_ms=0.09, p90_ms=0.2, p99_ms=0.61, max_ms=1.9),
            ),
        ],
        write_behind=WriteBehindStats(queued=chance.randrange(0, 60), written=260_000 + computed),
        namespaces=[
            NamespaceStats(
                name=name,
                hits=round(hits * share),
                misses=round(computed * share),
                entries=round(stored * share),
                size_bytes=round(stored * share) * _RECORD_BYTES,
            )
            for name, share in (("default", 0.81), ("mail", 0.13), ("team-a", 0.06))
        ],
    )


def _engine(
    busy: float, done: float, queue: float, second: int, chance: random.Random
) -> EngineStats:
    fill = min(0.25 + 0.7 * busy, 0.99)
    per_s = done * _TOKENS / (1_024 * fill)
    return EngineStats(
        device="CPU (2 cores)",
        provider="CPUExecutionProvider",
        callers=2,
        callers_busy=min(math.ceil(busy * 2), 2),
        busy_ratio=busy,
        queue_texts=round(queue),
        queue_tokens=round(queue * _TOKENS),
        queue_limit=65_536,
        oldest_ms=queue / _CAPACITY * 1e3,
        batch_tokens=1_024,
        batches=BatchStats(
            total=40_000 + 20 * second,
            texts=260_000,
            tokens=5_900_000,
            per_s=per_s,
            tokens_per_s=done * _TOKENS,
            fill_ratio=fill,
            padding_ratio=0.004,
            latency=_latency(per_s, 41, 52, chance),
        ),
        provider_reason="no CUDA device found",
        stage_ms={"tokenise": 0.11, "queue": queue / _CAPACITY * 1e3, "compute": 3.9},
        stages={"tokenise": 14.1, "queue": 3.2, "compute": 512.0 + second * busy},
    )


_ALLOWED = {"jupyter": 480.0, "notes-indexer": 600.0}
_REFUSED = {"jupyter": 412}


def _limit(name: str, rate: float) -> ClientLimit:
    """Of the made-up limiter: some clients may have fewer texts a second than others."""
    used = rate / _ALLOWED.get(name, 2_000.0)
    limit = "tokens a minute"
    if used >= 1:
        return ClientLimit(state="limited", used_ratio=1.0, retry_after_s=2 * used, limit=limit)
    return ClientLimit(state="near" if used >= 0.8 else "free", used_ratio=used, limit=limit)


def _clients(
    callers: list[_Client],
    wanted: list[float],
    second: int,
    wait_ms: float,
    chance: random.Random,
) -> list[ClientStats]:
    rows = []
    for caller, rate in zip(callers, wanted, strict=True):
        is_fast = caller.hit_ratio > 0.6
        rows.append(
            ClientStats(
                id=caller.id,
                name=caller.name,
                pid=caller.pid,
                transport=caller.transport,  # type: ignore[arg-type]
                connected_s=400.0 * caller.id + second,
                in_flight=min(round(rate / 60), 9),
                requests=caller.requests,
                limited=_REFUSED.get(caller.name, 0),
                limit=_limit(caller.name, rate),
                failed=3 if caller.name == "photo-tagger" else 0,
                texts=caller.texts,
                texts_per_s=rate,
                hit_ratio=caller.hit_ratio if rate else 0.0,
                p50_ms=(0.3 if is_fast else 28 + wait_ms) * chance.uniform(0.9, 1.1)
                if rate
                else 0.0,
                p99_ms=(33 + wait_ms) * chance.uniform(0.8, 1.2) if rate else 0.0,
            )
        )
    return rows


class DemoSource:
    """The made-up daemon at one snapshot every `interval_s`; starts with a past to look at."""

    def __init__(
        self,
        interval_s: float = 1.0,
        *,
        past: int = 320,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.address = DEMO_ADDRESS
        self.can_start = False
        self._interval_s = interval_s
        self._past = past
        self._clock = clock
        self._last = next(demo_snapshots())

    async def ask(self, ask: Ask) -> Answer:
        """A made-up answer, after a moment as a real one."""
        await asyncio.sleep(_ANSWER_S)
        return demo_answer(ask, self._last)

    def retry(self) -> None:
        """There is nothing to retry."""

    def start(self) -> None:
        """There is nothing to start."""

    async def states(self) -> AsyncIterator[State]:
        """The past at once, then one state at a time."""
        yield Connecting()
        snapshots = demo_snapshots()
        now = self._clock()
        for index, snapshot in enumerate(islice(snapshots, self._past)):
            self._last = snapshot
            yield Live(snapshot, now - self._past + index + 1)
        for snapshot in snapshots:
            await asyncio.sleep(self._interval_s)
            self._last = snapshot
            yield Live(snapshot, self._clock())
