"""The snapshot: the one structure that the dashboard, `emberd stat` and `/metrics` read.

The daemon builds one a second. Totals count since the daemon's start and only grow; rates
(`*_per_s`) and the latencies cover the last `window_s` seconds; gauges are of the moment.
Times are milliseconds, sizes bytes, ratios 0 to 1, `time` is Unix seconds. Readers must ignore
fields that they do not know; `version` changes only when a field changes its meaning.
"""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = [
    "SNAPSHOT_VERSION",
    "BatchStats",
    "CacheStats",
    "ClientLimit",
    "ClientStats",
    "CollectionStats",
    "DaemonStats",
    "EngineStats",
    "EventRecord",
    "GpuStats",
    "IndexStats",
    "Latency",
    "MethodStats",
    "ModelStats",
    "NamespaceStats",
    "PluginStats",
    "RequestStats",
    "Snapshot",
    "TextStats",
    "TierStats",
    "WriteBehindStats",
]

SNAPSHOT_VERSION = 1


class _Part(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the snapshot; unknown fields are ignored, so that newer daemons can be read."""


class Latency(_Part, frozen=True, kw_only=True):
    """Percentiles over the window; all 0 when nothing was counted."""

    count: int = 0
    p50_ms: float = 0.0
    p90_ms: float = 0.0
    p99_ms: float = 0.0
    max_ms: float = 0.0


class DaemonStats(_Part, frozen=True, kw_only=True):
    version: str
    pid: int
    state: Literal["serving", "draining"] = "serving"
    health: Literal["ok", "degraded"] = "ok"
    problems: list[str] = []
    """What makes it degraded, each with what to do; empty when all is well."""
    uptime_s: float = 0.0
    socket: str = ""
    rss_bytes: int = 0
    cpu_ratio: float = 0.0
    """Of one core: 1.5 is a core and a half."""
    loop_lag_ms: float = 0.0
    """Longest time that the event loop was busy at a stretch in the window."""


class MethodStats(_Part, frozen=True, kw_only=True):
    requests: int = 0
    failed: int = 0
    latency: Latency = Latency()


class RequestStats(_Part, frozen=True, kw_only=True):
    total: int = 0
    failed: int = 0
    in_flight: int = 0
    per_s: float = 0.0
    latency: Latency = Latency()
    """Of `embed` requests, from the last byte in to the reply handed to the socket."""
    methods: dict[str, MethodStats] = {}


class TextStats(_Part, frozen=True, kw_only=True):
    received: int = 0
    deduplicated: int = 0
    """Equal to another text of the same request or being computed for another request."""
    hits: int = 0
    computed: int = 0
    failed: int = 0
    truncated: int = 0
    per_s: float = 0.0
    hits_per_s: float = 0.0
    computed_per_s: float = 0.0
    received_per_s: float = 0.0
    deduplicated_per_s: float = 0.0
    failed_per_s: float = 0.0
    hit_ratio: float = 0.0
    """Over the window: hits / (hits + deduplicated + computed + failed)."""
    saved_s: float = 0.0
    """Device time that the cache has saved since the start: hits x the mean cost of a text."""


class TierStats(_Part, frozen=True, kw_only=True):
    name: str
    kind: str
    state: Literal["ok", "read_only", "tripped", "off"] = "ok"
    message: str = ""
    hits: int = 0
    misses: int = 0
    direct: int = 0
    """Of the hits, those that clients had in the tier's file themselves."""
    entries: int = 0
    size_bytes: int = 0
    budget_bytes: int = 0
    evictions: int = 0
    expired: int = 0
    corrupt: int = 0
    errors: int = 0
    lookup: Latency = Latency()


class WriteBehindStats(_Part, frozen=True, kw_only=True):
    queued: int = 0
    written: int = 0
    dropped: int = 0


class NamespaceStats(_Part, frozen=True, kw_only=True):
    name: str
    hits: int = 0
    misses: int = 0
    entries: int = 0
    """In the persistent tier."""
    size_bytes: int = 0


class CacheStats(_Part, frozen=True, kw_only=True):
    tiers: list[TierStats] = []
    """In the order they are asked."""
    write_behind: WriteBehindStats = WriteBehindStats()
    namespaces: list[NamespaceStats] = []


class BatchStats(_Part, frozen=True, kw_only=True):
    total: int = 0
    texts: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    failed: int = 0
    per_s: float = 0.0
    tokens_per_s: float = 0.0
    fill_ratio: float = 0.0
    """Tokens of the window's batches over their budgets."""
    padding_ratio: float = 0.0
    """Share of padding among the window's computed tokens."""
    latency: Latency = Latency()
    """Of one batch on the device."""


class GpuStats(_Part, frozen=True, kw_only=True):
    """The GPU in use; None for each figure that its driver does not tell."""

    name: str = ""
    message: str = ""
    """Why there are no figures, and what to do."""
    busy_ratio: float | None = None
    """Share of the driver's last sampling period in which anything ran on it."""
    memory_used_bytes: int | None = None
    """By all processes."""
    memory_total_bytes: int | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    power_limit_w: float | None = None


class EngineStats(_Part, frozen=True, kw_only=True):
    device: str = "none"
    """For example "CPU (2 cores)" or the GPU's name."""
    provider: str = ""
    """ONNX Runtime's execution provider in use."""
    provider_note: str = ""
    """Why a better provider is not in use and what to do; empty when the best one is, and on a
    machine where none seems to be possible."""
    provider_reason: str = ""
    """On a CPU, why, in a few words, and after an arrow what helps; also where nothing does."""
    gpu: GpuStats | None = None
    """None on a CPU, and until somebody has asked for snapshots for a second or two."""
    callers: int = 0
    callers_busy: int = 0
    busy_ratio: float = 0.0
    """Share of the callers' time spent computing in the window."""
    queue_texts: int = 0
    queue_tokens: int = 0
    queue_limit: int = 0
    oldest_ms: float = 0.0
    batch_tokens: int = 0
    restarts: int = 0
    batches: BatchStats = BatchStats()
    stages: dict[str, float] = {}
    """Seconds spent since the start by stage: tokenise, queue, compute."""
    stage_ms: dict[str, float] = {}
    """What a text computed in the window took on average: a thread's time to tokenise and compute
    it, and its wait in the queue; empty where none was computed."""


class CollectionStats(_Part, frozen=True, kw_only=True):
    name: str
    model: str = ""
    dim: int = 0
    state: Literal["closed", "loading", "ready", "rebuilding", "degraded"] = "closed"
    """`closed` until the first request opens it; `degraded` has the reason in `message`."""
    version: int = 0
    """Grows with every write; 0 while it is closed."""
    message: str = ""
    count: int = 0
    """Documents, those without a usable vector included."""
    deleted: int = 0
    """Vectors that still lie in the file though their document is gone or has a newer one."""
    damaged: int = 0
    """Documents that wait for their vector to be computed again."""
    size_bytes: int = 0
    memory_bytes: int = 0
    """Of the graph, in its own process, and of the ids, in the daemon's."""
    graph: Literal["off", "loading", "ok", "restarting"] = "off"
    """`off` means that every search is exact."""
    indexed: int = 0
    """Documents in the graph; newer ones are searched exactly beside it."""
    restarts: int = 0
    rebuild_ratio: float = 1.0
    """Progress of a rebuild."""
    checkpoint_age_s: float = 0.0
    """Since the graph's newest checkpoint; 0 where there is none."""
    recall: float | None = None
    """recall@10 of the last probe against exact search; None before the first."""
    ef: int = 0
    queries: int = 0
    cached: int = 0
    """Queries answered from the results of an equal one."""
    upserted: int = 0
    removed: int = 0
    latency: Latency = Latency()
    """Of a search, whatever the number of its queries."""


class IndexStats(_Part, frozen=True, kw_only=True):
    collections: list[CollectionStats] = []
    """By name."""


class ModelStats(_Part, frozen=True, kw_only=True):
    name: str
    fingerprint: str
    dim: int
    max_tokens: int
    precision: str = "exact"
    state: Literal["loading", "loaded", "unloaded", "failed"] = "loaded"
    """`unloaded`: let go of after `models.keep_alive`; its next text loads it again."""
    message: str = ""
    is_default: bool = False
    device: str = ""
    """What computes it: the engine's device, or a plugin's embedder."""
    texts: int = 0
    idle_s: float | None = None
    """Since it last computed; 0 while it does, None where it is not in memory or a plugin's."""
    unloads_in_s: float | None = None
    """None while it computes, and where it stays."""


class PluginStats(_Part, frozen=True, kw_only=True):
    name: str
    version: str = ""
    source: str = ""
    """The distribution that it came with."""
    summary: str = ""
    state: Literal[
        "off", "blocked", "load_error", "settings_error", "check_error", "enabled", "tripped"
    ] = "enabled"
    """`off`: comes with emberd and has no settings, so it is not loaded. `blocked`: by the
    settings, EMBERD_PLUGINS or `emberd plugins disable`."""
    message: str = ""
    """What is wrong and what to do."""
    provides: list[str] = []
    """For example "cache tier redis", "rate limiter per_minute"."""
    calls: int = 0
    errors: int = 0
    trips: int = 0
    dropped: int = 0
    """Records that an observer was too slow to take."""
    busy_s: float = 0.0
    """Time in its calls since the start."""
    latency: Latency = Latency()
    """Of its calls in the window."""
    statistics: dict[str, int | float | str] = {}
    """What the plugin says of itself."""


class ClientLimit(_Part, frozen=True, kw_only=True):
    """How close a client is to a limit."""

    state: Literal["free", "near", "limited"] = "free"
    """`near`: four fifths are used, or more. `limited`: its next work is refused."""
    used_ratio: float = 0.0
    """Of what it may use now; 0 where the limiter does not say."""
    retry_after_s: float = 0.0
    """Until work fits again, where it is limited."""
    limit: str = ""
    """Which one, for example "tokens a minute"."""


class ClientStats(_Part, frozen=True, kw_only=True):
    id: int
    name: str = ""
    """As the client said in `hello`, else the name of its process."""
    pid: int = 0
    transport: Literal["unix", "tcp", "http"] = "unix"
    connected_s: float = 0.0
    in_flight: int = 0
    requests: int = 0
    failed: int = 0
    limited: int = 0
    """Requests that a rate limiter refused, as the daemon counts them."""
    limit: ClientLimit | None = None
    """The limit that it is closest to; None where no limiter tells and none has just refused it."""
    texts: int = 0
    texts_per_s: float = 0.0
    hit_ratio: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0


class EventRecord(_Part, frozen=True, kw_only=True):
    time: float
    level: Literal["info", "warning", "error"]
    event: str
    """Stable name, for example `model.loaded`."""
    message: str = ""


class Snapshot(_Part, frozen=True, kw_only=True):
    daemon: DaemonStats
    version: int = SNAPSHOT_VERSION
    sequence: int = 0
    time: float = 0.0
    window_s: float = 1.0
    requests: RequestStats = RequestStats()
    texts: TextStats = TextStats()
    cache: CacheStats = CacheStats()
    engine: EngineStats = EngineStats()
    models: list[ModelStats] = []
    index: IndexStats = IndexStats()
    clients: list[ClientStats] = []
    """Connected ones, busiest first, at most 64."""
    plugins: list[PluginStats] = []
    """In the order of their names."""
    events: list[EventRecord] = []
    """Newest last, at most 50."""
