"""Building the snapshot, once a second: the only place where the daemon's figures are read."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from msgspec import structs

from emberd import __version__
from emberd.cache import Cache
from emberd.engine import Engine
from emberd.plugins.manager import Plugins
from emberd.service.callers import Caller
from emberd.service.client_limits import LimitReader
from emberd.service.collections import CollectionService
from emberd.service.registry import ModelRegistry
from emberd.service.statistics import Statistics
from emberd.telemetry import EventLog
from emberd.telemetry.gpu import GpuWatch
from emberd.wire.snapshot import ClientStats, DaemonStats, EngineStats, Snapshot

__all__ = ["SnapshotBuilder"]

_CLIENTS_SHOWN = 64


class SnapshotBuilder:
    """Owned by the event loop's thread; `build` costs about a millisecond."""

    def __init__(
        self,
        *,
        engine: Engine,
        cache: Cache,
        registry: ModelRegistry,
        statistics: Statistics,
        collections: CollectionService,
        events: EventLog,
        plugins: Plugins,
        socket: str,
        take_lag_ms: Callable[[], float],
        gpu: GpuWatch | None = None,
        limits: LimitReader | None = None,
    ) -> None:
        import psutil  # noqa: PLC0415 - 15 ms that only the running daemon pays

        self._engine = engine
        self._cache = cache
        self._registry = registry
        self._statistics = statistics
        self._collections = collections
        self._events = events
        self._plugins = plugins
        self._socket = socket
        self._take_lag_ms = take_lag_ms
        self._gpu = gpu
        self._limits = limits or LimitReader([])
        self._process = psutil.Process()
        self._started = self._last = time.monotonic()
        self._last_cpu_s = _cpu_s()
        self._sequence = 0

    def look(self) -> None:
        """Somebody begins to look: have read what is only read for that."""
        if self._gpu is not None:
            self._gpu.tick()

    def build(
        self,
        callers: Iterable[Caller],
        *,
        is_draining: bool,
        problems: list[str],
        is_watched: bool = True,
    ) -> Snapshot:
        """The snapshot of now; every windowed figure starts anew."""
        now = time.monotonic()
        window_s = max(now - self._last, 1e-3)
        self._last = now
        self._sequence += 1
        engine = self._engine.stats()
        if self._gpu is not None and is_watched:
            engine = structs.replace(engine, gpu=self._gpu.tick())
        cache = self._cache.stats()
        self._plugins.tick()
        self._plugins.count_built_in(cache.tiers)
        clients = self._clients(callers, window_s, is_watched=is_watched)
        return Snapshot(
            sequence=self._sequence,
            time=time.time(),
            window_s=window_s,
            daemon=self._daemon(now, window_s, is_draining, problems),
            requests=self._statistics.take_requests(window_s),
            texts=self._statistics.take_texts(window_s, _mean_cost_s(engine)),
            cache=cache,
            engine=engine,
            index=self._collections.stats(),
            models=self._registry.stats(engine.device),
            clients=clients,
            plugins=self._plugins.stats(),
            events=self._events.records(),
        )

    def _clients(
        self, callers: Iterable[Caller], window_s: float, *, is_watched: bool
    ) -> list[ClientStats]:
        """The busiest ones, with their limits."""
        found = [(caller.stats(window_s), caller) for caller in callers]
        found.sort(key=lambda pair: (-pair[0].texts_per_s, -pair[0].texts, pair[0].id))
        shown = found[:_CLIENTS_SHOWN]
        if is_watched:
            self._limits.tick([caller for _, caller in shown])
        return [
            structs.replace(stats, limit=caller.limit(self._limits.of(caller)))
            for stats, caller in shown
        ]

    def _daemon(
        self, now: float, window_s: float, is_draining: bool, problems: list[str]
    ) -> DaemonStats:
        cpu_s = _cpu_s()
        cpu_ratio = (cpu_s - self._last_cpu_s) / window_s
        self._last_cpu_s = cpu_s
        found = [*problems, *self._engine.problems()]
        return DaemonStats(
            version=__version__,
            pid=os.getpid(),
            state="draining" if is_draining else "serving",
            health="degraded" if found else "ok",
            problems=found,
            uptime_s=now - self._started,
            socket=self._socket,
            rss_bytes=self._process.memory_info().rss,
            cpu_ratio=cpu_ratio,
            loop_lag_ms=self._take_lag_ms(),
        )


def to_plain(snapshot: Snapshot) -> dict[str, Any]:
    """The snapshot as it travels."""
    plain: dict[str, Any] = msgspec.to_builtins(snapshot)
    return plain


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system


def _mean_cost_s(engine: EngineStats) -> float:
    texts = engine.batches.texts
    return engine.stages.get("compute", 0.0) / texts if texts else 0.0
