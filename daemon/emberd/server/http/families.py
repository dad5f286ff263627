"""Every metric of `/metrics`, and the field of the snapshot that it shows.

Totals are counters, everything else is a gauge. Prometheus makes rates from counters by itself,
so the snapshot's `*_per_s` are not repeated. Latencies are those of the snapshot's last window:
gauges with a `quantile`, of which 1 is the longest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter
from typing import Any, TypeAlias

from emberd.server.http.metrics import Family, Samples
from emberd.wire.snapshot import Latency, Snapshot, TierStats

__all__ = ["FAMILIES"]

Read: TypeAlias = Callable[[Snapshot], Samples]
Series: TypeAlias = Iterator[tuple[Mapping[str, str], float]]

_TIER_STATES = ("ok", "read_only", "tripped", "off")
_MODEL_STATES = ("loading", "loaded", "unloaded", "failed")
_PLUGIN_STATES = (
    "off",
    "blocked",
    "load_error",
    "settings_error",
    "check_error",
    "enabled",
    "tripped",
)
_TRANSPORTS = ("unix", "tcp", "http")


def _counter(name: str, words: str, read: Read | str) -> Family:
    return Family(f"{name}_total", "counter", words, _reader(read))


def _gauge(name: str, words: str, read: Read | str) -> Family:
    return Family(name, "gauge", words, _reader(read))


def _reader(read: Read | str) -> Read:
    """A dotted path into the snapshot is a metric of one series."""
    return _one(attrgetter(read)) if isinstance(read, str) else read


def _one(read: Callable[[Snapshot], float]) -> Read:
    return lambda snapshot: [({}, read(snapshot))]


def _seconds(path: str) -> Read:
    read = attrgetter(path)
    return _one(lambda snapshot: read(snapshot) / 1e3)


def _method(field: str) -> Read:
    return lambda s: [
        ({"method": name}, getattr(method, field)) for name, method in s.requests.methods.items()
    ]


def _tier(field: str) -> Read:
    return lambda s: [(_tier_labels(tier), getattr(tier, field)) for tier in s.cache.tiers]


def _namespace(field: str) -> Read:
    return lambda s: [({"namespace": row.name}, getattr(row, field)) for row in s.cache.namespaces]


def _plugin(field: str) -> Read:
    return lambda s: [({"plugin": row.name}, getattr(row, field)) for row in s.plugins]


def _tier_labels(tier: TierStats) -> dict[str, str]:
    return {"tier": tier.name, "kind": tier.kind}


def _quantiles(labels: Mapping[str, str], latency: Latency) -> Series:
    if not latency.count:
        return  # nothing happened in the window: a gap, not a latency of 0
    found = {
        "0.5": latency.p50_ms,
        "0.9": latency.p90_ms,
        "0.99": latency.p99_ms,
        "1": latency.max_ms,
    }
    for quantile, ms in found.items():
        yield {**labels, "quantile": quantile}, ms / 1e3


def _states(labels: Mapping[str, str], state: str, states: tuple[str, ...]) -> Series:
    for name in states:
        yield {**labels, "state": name}, name == state


def _method_latency(snapshot: Snapshot) -> Series:
    for name, method in snapshot.requests.methods.items():
        yield from _quantiles({"method": name}, method.latency)


def _tier_latency(snapshot: Snapshot) -> Series:
    for tier in snapshot.cache.tiers:
        yield from _quantiles(_tier_labels(tier), tier.lookup)


def _tier_state(snapshot: Snapshot) -> Series:
    for tier in snapshot.cache.tiers:
        yield from _states(_tier_labels(tier), tier.state, _TIER_STATES)


def _plugin_state(snapshot: Snapshot) -> Series:
    for plugin in snapshot.plugins:
        yield from _states({"plugin": plugin.name}, plugin.state, _PLUGIN_STATES)


def _plugin_latency(snapshot: Snapshot) -> Series:
    for plugin in snapshot.plugins:
        yield from _quantiles({"plugin": plugin.name}, plugin.latency)


def _model_state(snapshot: Snapshot) -> Series:
    for model in snapshot.models:
        yield from _states({"model": model.name}, model.state, _MODEL_STATES)


def _model_info(snapshot: Snapshot) -> Series:
    for model in snapshot.models:
        yield (
            {
                "model": model.name,
                "fingerprint": model.fingerprint,
                "dim": str(model.dim),
                "max_tokens": str(model.max_tokens),
                "precision": model.precision,
                "default": str(model.is_default).lower(),
            },
            1,
        )


def _clients(snapshot: Snapshot) -> Series:
    counts = Counter[str](client.transport for client in snapshot.clients)
    for transport in _TRANSPORTS:
        yield {"transport": transport}, counts[transport]


def _gpu(field: str) -> Read:
    """One series, or none where the figure is not known."""

    def read(snapshot: Snapshot) -> Samples:
        value = getattr(snapshot.engine.gpu, field, None)
        return [] if value is None else [({}, value)]

    return read


def _info(snapshot: Snapshot) -> Series:
    engine = snapshot.engine
    yield (
        {
            "version": snapshot.daemon.version,
            "device": engine.device,
            "provider": engine.provider,
            "provider_note": engine.provider_note,
        },
        1,
    )


def _is(path: str, value: Any) -> Read:
    read = attrgetter(path)
    return _one(lambda snapshot: read(snapshot) == value)


FAMILIES = (
    _gauge("info", "The daemon and its device; always 1.", _info),
    _gauge("healthy", "1 while nothing is wrong; see /health.", _is("daemon.health", "ok")),
    _gauge("draining", "1 while the daemon is shutting down.", _is("daemon.state", "draining")),
    _gauge("problems", "Problems at present.", _one(lambda s: len(s.daemon.problems))),
    _gauge("uptime_seconds", "Time since the start.", "daemon.uptime_s"),
    _gauge("resident_memory_bytes", "Memory of the daemon's process.", "daemon.rss_bytes"),
    _gauge("cpu_ratio", "Processor use in the window; 1 is one core.", "daemon.cpu_ratio"),
    _gauge(
        "event_loop_lag_seconds",
        "Longest time that the event loop was busy at a stretch in the window.",
        _seconds("daemon.loop_lag_ms"),
    ),
    _gauge("snapshot_timestamp_seconds", "When these figures were read, in Unix time.", "time"),
    _gauge("snapshot_window_seconds", "Time that the windowed figures cover.", "window_s"),
    _counter("snapshots", "Snapshots taken.", "sequence"),
    _gauge("clients", "Connected clients; the 64 busiest are counted.", _clients),
    # requests and texts
    _counter("requests", "Requests answered.", _method("requests")),
    _counter("requests_failed", "Requests answered with an error.", _method("failed")),
    _gauge("requests_in_flight", "Requests under way.", "requests.in_flight"),
    _gauge("request_latency_seconds", "Latency of the window's requests.", _method_latency),
    _counter("texts_received", "Texts asked for.", "texts.received"),
    _counter(
        "texts_deduplicated",
        "Texts that shared the computation of an equal one.",
        "texts.deduplicated",
    ),
    _counter("texts_hits", "Texts found in a cache.", "texts.hits"),
    _counter("texts_computed", "Texts computed by a model.", "texts.computed"),
    _counter("texts_failed", "Texts that failed.", "texts.failed"),
    _counter("texts_truncated", "Texts cut to their model's window.", "texts.truncated"),
    _gauge("texts_hit_ratio", "Share of the window's texts found in a cache.", "texts.hit_ratio"),
    _gauge("saved_seconds", "Device time that the cache has saved.", "texts.saved_s"),
    # cache
    _counter("cache_hits", "Hits of a tier.", _tier("hits")),
    _counter("cache_misses", "Misses of a tier.", _tier("misses")),
    _counter(
        "cache_direct_hits",
        "Hits that clients had in a tier's file themselves, which are among its hits.",
        _tier("direct"),
    ),
    _counter("cache_evictions", "Records evicted to keep the budget.", _tier("evictions")),
    _counter("cache_expired", "Records found too old.", _tier("expired")),
    _counter("cache_corrupt", "Records found damaged.", _tier("corrupt")),
    _counter("cache_errors", "Errors of a tier.", _tier("errors")),
    _gauge("cache_entries", "Records in a tier.", _tier("entries")),
    _gauge("cache_size_bytes", "Size of a tier.", _tier("size_bytes")),
    _gauge("cache_budget_bytes", "Budget of a tier.", _tier("budget_bytes")),
    _gauge("cache_tier_state", "1 for the state that a tier is in.", _tier_state),
    _gauge("cache_lookup_latency_seconds", "Latency of the window's lookups.", _tier_latency),
    _gauge("cache_write_queue", "Vectors waiting to be written.", "cache.write_behind.queued"),
    _counter("cache_written", "Vectors written to lower tiers.", "cache.write_behind.written"),
    _counter("cache_write_dropped", "Vectors not written.", "cache.write_behind.dropped"),
    _counter("namespace_hits", "Hits of a namespace.", _namespace("hits")),
    _counter("namespace_misses", "Misses of a namespace.", _namespace("misses")),
    _gauge("namespace_entries", "Records in the persistent tier.", _namespace("entries")),
    _gauge("namespace_size_bytes", "Size in the persistent tier.", _namespace("size_bytes")),
    # engine
    _gauge("engine_callers", "Threads that run models.", "engine.callers"),
    _gauge("engine_callers_busy", "Threads that run a batch now.", "engine.callers_busy"),
    _gauge("engine_busy_ratio", "Share of the window spent computing.", "engine.busy_ratio"),
    _counter("engine_restarts", "Workers restarted.", "engine.restarts"),
    _gauge("queue_texts", "Texts waiting.", "engine.queue_texts"),
    _gauge("queue_tokens", "Tokens waiting.", "engine.queue_tokens"),
    _gauge("queue_limit_texts", "Texts that may wait.", "engine.queue_limit"),
    _gauge("queue_oldest_seconds", "Age of the oldest waiting text.", _seconds("engine.oldest_ms")),
    _gauge("batch_budget_tokens", "Token budget of one batch.", "engine.batch_tokens"),
    _counter("batches", "Batches run.", "engine.batches.total"),
    _counter("batches_failed", "Batches that failed.", "engine.batches.failed"),
    _counter("batch_texts", "Texts in batches.", "engine.batches.texts"),
    _counter("batch_tokens", "Tokens in batches, padding left out.", "engine.batches.tokens"),
    _counter("batch_padded_tokens", "Padding added in batches.", "engine.batches.padded_tokens"),
    _gauge("batch_fill_ratio", "Tokens over budgets in the window.", "engine.batches.fill_ratio"),
    _gauge("batch_padding_ratio", "Share of padding.", "engine.batches.padding_ratio"),
    _gauge(
        "batch_latency_seconds",
        "Latency of the window's batches on the device.",
        lambda s: _quantiles({}, s.engine.batches.latency),
    ),
    _counter(
        "stage_seconds",
        "Time spent in a stage.",
        lambda s: [({"stage": name}, spent) for name, spent in s.engine.stages.items()],
    ),
    _gauge("gpu_busy_ratio", "Share of time in which the GPU was in use.", _gpu("busy_ratio")),
    _gauge("gpu_memory_used_bytes", "Used by all processes.", _gpu("memory_used_bytes")),
    _gauge("gpu_memory_total_bytes", "Memory of the GPU.", _gpu("memory_total_bytes")),
    _gauge("gpu_temperature_celsius", "Temperature of the GPU.", _gpu("temperature_c")),
    _gauge("gpu_power_watts", "What the GPU draws.", _gpu("power_w")),
    _gauge("gpu_power_limit_watts", "What the GPU may draw.", _gpu("power_limit_w")),
    # models
    _gauge("model_info", "A model that the daemon knows; always 1.", _model_info),
    _gauge("model_state", "1 for the state that a model is in.", _model_state),
    _counter(
        "model_texts",
        "Texts answered since the model was loaded.",
        lambda s: [({"model": model.name}, model.texts) for model in s.models],
    ),
    # plugins
    _gauge("plugin_state", "1 for the state that a plugin is in.", _plugin_state),
    _counter("plugin_calls", "Calls of a plugin.", _plugin("calls")),
    _counter("plugin_errors", "Errors of a plugin.", _plugin("errors")),
    _counter("plugin_trips", "Times that errors have tripped a plugin.", _plugin("trips")),
    _counter(
        "plugin_dropped", "Records that an observer was too slow to take.", _plugin("dropped")
    ),
    _counter("plugin_busy_seconds", "Time spent in a plugin's calls.", _plugin("busy_s")),
    _gauge("plugin_latency_seconds", "Latency of the window's calls.", _plugin_latency),
)
