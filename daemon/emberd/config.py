"""Settings: a TOML file, then `EMBERD_SECTION__KEY` variables, both checked key by key.

Every key has a default that suits a workstation. `emberd config show` prints them all.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from emberd.errors import InvalidConfigError

__all__ = [
    "CacheSettings",
    "DaemonSettings",
    "DashboardSettings",
    "EngineSettings",
    "HttpSettings",
    "IndexSettings",
    "LimitSettings",
    "LogSettings",
    "ModelSettings",
    "NamespaceSettings",
    "PluginSettings",
    "Settings",
    "TcpSettings",
    "duration_s",
    "iter_settings",
    "load_settings",
    "settings_from",
]

MIB = 1 << 20

Positive = Annotated[int, msgspec.Meta(ge=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]

_UNITS_S = {"": 1.0, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+|\d+(?:\.\d+)?")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|)")


def duration_s(value: str | float) -> float | None:
    """Seconds of a duration, such as "1h30m", "90s" or a number of seconds; None for "forever" and
    what is below zero. Raises ValueError."""
    text = str(value).strip().lower()
    if text == "forever" or (text.startswith("-") and _DURATION.fullmatch(text[1:])):
        return None
    if not _DURATION.fullmatch(text):
        raise ValueError(
            f'{value!r} is no duration; write one like "5m" or "1h30m", a number of seconds, or '
            '"forever"'
        )
    parts = _DURATION_PART.findall(text)
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A section of the settings file."""


class DaemonSettings(_Section, frozen=True, kw_only=True):
    """The process."""

    drain_s: Seconds = 10.0
    """On SIGTERM, finish open requests for at most this long."""
    preload: bool = True
    """Load the default model at start when it is in the store."""
    stay_awake: bool = True
    """While requests follow each other within 0.4 ms (2 after large ones), poll for the next and do
    not sleep: half the time of a cached text, for a processor while that goes on (Linux)."""


class ModelSettings(_Section, frozen=True, kw_only=True):
    """Which models, and where they may come from."""

    default: str = "all-MiniLM-L6-v2"
    """Used by requests that name none."""
    allow_download: bool = True
    """Let the daemon fetch a model of the catalog that a request names."""
    embedder: str = ""
    """Who computes for requests that name no model: "openvino" is the plugin of that name, with its
    model NAME@openvino. Empty is emberd's own engine, which also answers where that is away."""
    keep_alive: str | float = "30m"
    """Unload a model that computed nothing for so long ("90s", "5m", "1h30m", or seconds); its next
    text loads it again. 0 unloads it at once after use, "forever" or -1 never."""

    def __post_init__(self) -> None:
        try:
            duration_s(self.keep_alive)
        except ValueError as exc:
            raise ValueError(f"keep_alive: {exc}") from exc


class EngineSettings(_Section, frozen=True, kw_only=True):
    """The device and how work is cut for it."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes the GPU where ONNX Runtime can really use one, and says so where not."""
    threads: Count = 0
    """Caller threads on a CPU; 0 means one a core."""
    batch_tokens: Count = 0
    """Token budget of one batch; 0 means 512 on a CPU, and on a GPU what a short measurement finds
    best when a model is loaded."""
    gpu_memory_mib: Count = 0
    """The most GPU memory that a model's runs may take; 0 means all that there is."""
    queue_texts: Positive = 65_536
    """Texts that may wait; more are refused with OVERLOADED."""
    background_priority: bool = True
    """Run the callers at a lower priority than the event loop (Linux), so that hits stay fast."""


class NamespaceSettings(_Section, frozen=True, kw_only=True):
    """A tenant of the cache: its own keys, counts, budgets and clearing."""

    memory_mib: Count = 0
    """Share of the memory tier; 0 means that only the whole tier's budget bounds it."""
    disk_mib: Count = 0
    """Share of the persistent tier; 0 means that only the whole tier's budget bounds it."""


class CacheSettings(_Section, frozen=True, kw_only=True):
    """The tiers of the cache."""

    dtype: Literal["f16", "f32"] = "f16"
    """How vectors are kept; fresh ones are rounded alike, so a hit and a miss give equal bytes."""
    memory_mib: Count = 256
    """Budget of the memory tier; 0 turns it off."""
    disk_mib: Count = 4_096
    """Budget of the persistent (LMDB) tier; 0 turns it off."""
    ttl_s: Seconds = 0.0
    """Age at which a record is a miss; 0 means never."""
    sliding_ttl: bool = False
    """Count the age from the last hit instead of from the writing."""
    top_texts: Annotated[int, msgspec.Meta(ge=0, le=1_000)] = 0
    """Texts with the most hits whose first 200 characters are kept in memory, by namespace, for
    `emberd cache top`; 0 keeps none."""
    commit_ms: Annotated[int, msgspec.Meta(ge=10, le=5_000)] = 100
    """Longest time that a fresh vector waits for its group commit."""
    direct_reads: bool = True
    """Let clients of the same user that ask for it read the persistent tier's file themselves."""
    namespaces: dict[str, NamespaceSettings] = msgspec.field(
        default_factory=lambda: {"default": NamespaceSettings()}
    )
    """The tenants; `default` is always there."""


class IndexSettings(_Section, frozen=True, kw_only=True):
    """Collections: how their vectors are kept and searched."""

    dtype: Literal["f32", "f16"] = "f32"
    """How a new collection keeps its vectors; f16 halves the file, and exact search then takes
    three to four times as long."""
    exact_below: Count = 10_000
    """Documents up to which every search is exact and no graph is built."""
    m: Annotated[int, msgspec.Meta(ge=2, le=128)] = 16
    """Links of a vector in the graph; more find more and cost memory."""
    ef_construction: Annotated[int, msgspec.Meta(ge=8, le=2_000)] = 200
    """Candidates looked at for each vector that is added to the graph."""
    ef_search: Count = 0
    """Candidates looked at in a search; 0 lets the recall probe choose."""
    checkpoint_s: Seconds = 300.0
    """Longest time that a changed graph waits for its checkpoint."""
    rebuild_deleted: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.25
    """Share of deleted vectors above which the graph and the vectors' file are built anew."""
    probe_s: Seconds = 600.0
    """Time between two measurements of the graph's recall; 0 means never."""
    memory_mib: Count = 4_096
    """Budget of all graphs together; collections beyond it are searched exactly. 0 means none."""
    threads: Count = 0
    """Threads of exact search, and of each graph; 0 means one a core."""
    query_cache_mib: Count = 16
    """Results of a collection kept until its next write; 0 turns it off."""


class LimitSettings(_Section, frozen=True, kw_only=True):
    """What one connection may ask for."""

    frame_mib: Positive = 64
    """Largest message."""
    texts: Positive = 16_384
    """Texts in one request; the Python client splits larger calls by itself."""
    text_bytes: Positive = MIB
    """Largest text, in UTF-8 bytes."""
    requests_in_flight: Positive = 64
    """Per connection; reading pauses above it."""
    mib_in_flight: Positive = 32
    """Per connection; reading pauses above it."""
    write_mib: Positive = 128
    """Unread replies after which a slow reader is cut off."""
    write_s: Seconds = 10.0
    """Time without reading after which a slow reader with a full buffer is cut off."""


class TcpSettings(_Section, frozen=True, kw_only=True):
    """A TCP listener for MessagePack-RPC, off unless `port` is set; it demands the token."""

    host: str = "127.0.0.1"
    """The address to listen on; 0.0.0.0 means all of them."""
    port: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 0
    """0 means no listener."""
    token: str = ""
    """What clients have to show; required with a port."""


class HttpSettings(_Section, frozen=True, kw_only=True):
    """The HTTP gateway (OpenAI-compatible), off unless `port` is set."""

    host: str = "127.0.0.1"
    """The address to listen on; 0.0.0.0 means all of them."""
    port: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 0
    """0 means no gateway."""
    token: str = ""
    """Bearer token; required when `host` is not a loopback address."""


class PluginSettings(_Section, frozen=True, kw_only=True):
    """Which plugins are loaded. Each plugin's own settings are in `[plugin.NAME]`."""

    allow: list[str] = []
    """Load these alone, in this order; empty means all that are installed. The variable
    `EMBERD_PLUGINS`, for example "redis,-limits", takes its place and denies what has a minus."""
    deny: list[str] = []
    """Never load these; stronger than `allow`."""
    required: list[str] = []
    """The daemon does not start without these."""
    start_s: Seconds = 10.0
    """Time for a plugin's import and for each of its hooks at the start."""
    errors: Positive = 10
    """Errors within 60 s that trip a plugin; `emberd plugins enable NAME` brings it back."""


class LogSettings(_Section, frozen=True, kw_only=True):
    """The log, and the log file of a daemon in the background."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is written."""
    max_mib: Positive = 10
    """The file's size at which a new one is begun."""
    keep: Count = 3
    """Older files that are kept."""
    slow_ms: Count = 1_000
    """Requests that take longer are written to the log and listed by `emberd requests --slow`; 0
    turns that off."""


class DashboardSettings(_Section, frozen=True, kw_only=True):
    """The dashboard; the options of `emberd top` outweigh these."""

    theme: Literal["dark", "light"] = "dark"
    """The background that the terminal has."""
    ascii: bool = False
    """Draw with ASCII characters alone."""
    interval_s: Annotated[float, msgspec.Meta(ge=0.1, le=60)] = 1.0
    """Time between two snapshots."""
    keys: dict[str, str | list[str]] = {}
    """The keys of actions: `freeze = "f"`, `next_screen = ["tab", "ctrl+n"]`, "" for none.
    `emberd top --keys` lists the actions."""


class Settings(_Section, frozen=True, kw_only=True):
    """Everything that can be set."""

    daemon: DaemonSettings = DaemonSettings()
    models: ModelSettings = ModelSettings()
    engine: EngineSettings = EngineSettings()
    cache: CacheSettings = CacheSettings()
    index: IndexSettings = IndexSettings()
    limits: LimitSettings = LimitSettings()
    tcp: TcpSettings = TcpSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
    dashboard: DashboardSettings = DashboardSettings()
    plugins: PluginSettings = PluginSettings()
    plugin: dict[str, dict[str, Any]] = {}
    """The plugins' own sections, checked by the plugins."""


def load_settings(file: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of `file` (absent means defaults) with the environment's laid over them.

    Raises InvalidConfigError; its message names the file, the key and the nearest valid one.
    """
    values: dict[str, Any] = {}
    try:
        values = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        pass  # no file: defaults
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise InvalidConfigError(f"Cannot read {file}: {exc}. Correct or remove the file.") from exc
    settings_from(values, str(file))  # the file alone first, so that errors name their source
    _lay_over(values, os.environ if environment is None else environment)
    return settings_from(values, "the environment")


def settings_from(values: Mapping[str, Any], source: str) -> Settings:
    """Check plain values against the types; raises InvalidConfigError naming `source`."""
    _refuse_unknown_keys(values, Settings, (), source)
    try:
        return msgspec.convert(values, Settings)
    except msgspec.ValidationError as exc:
        raise InvalidConfigError(
            f"{source}: {_readable(exc)}. `emberd config show` lists every key and its value."
        ) from exc


def iter_settings(settings: Settings) -> list[tuple[str, Any]]:
    """`(dotted key, value)` for every setting, in the order of the sections."""
    rows: list[tuple[str, Any]] = []

    def walk(value: Any, prefix: str) -> None:
        items = value.items() if isinstance(value, dict) else _fields_of(value)
        for key, child in items:
            path = f"{prefix}.{key}" if prefix else str(key)
            if isinstance(child, msgspec.Struct | dict):
                walk(child, path)
            else:
                rows.append((path, child))

    walk(settings, "")
    return rows


def _fields_of(value: msgspec.Struct) -> list[tuple[str, Any]]:
    return [(name, getattr(value, name)) for name in value.__struct_fields__]


def _readable(exc: msgspec.ValidationError) -> str:
    message, _, path = str(exc).partition(" - at `$")
    return f"{path.strip('.`')}: {message}" if path else message


def _lay_over(values: dict[str, Any], environment: Mapping[str, str]) -> None:
    for name, text in environment.items():
        section, separator, key = name.removeprefix("EMBERD_").lower().partition("__")
        if not name.startswith("EMBERD_") or not separator:
            continue
        path = [section, *key.split("__")]
        _refuse_unknown_path(path, name)
        target = values
        for part in path[:-1]:
            target = target.setdefault(part, {})
        target[path[-1]] = _value_of(text, name)


def _value_of(text: str, name: str) -> Any:
    """A variable's text as TOML would read it; what is no TOML value is a string."""
    if "\n" in text:
        raise InvalidConfigError(f"{name}: a value must be one line.")
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _refuse_unknown_path(path: list[str], name: str) -> None:
    nested: dict[str, Any] = {path[-1]: None}
    for part in reversed(path[:-1]):
        nested = {part: nested}
    _refuse_unknown_keys(nested, Settings, (), name)


def _refuse_unknown_keys(
    values: Mapping[str, Any], section: type, parents: tuple[str, ...], source: str
) -> None:
    hints = get_type_hints(section)
    for key, value in values.items():
        if key not in hints:
            near = difflib.get_close_matches(key, hints, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(hints)}."
            raise InvalidConfigError(
                f"{source}: unknown key {'.'.join([*parents, key])!r}; {hint}",
                details={"field": ".".join([*parents, key])},
            )
        kind = hints[key]
        if isinstance(value, Mapping) and isinstance(kind, type) and issubclass(kind, _Section):
            _refuse_unknown_keys(value, kind, (*parents, key), source)
        elif isinstance(value, Mapping) and get_origin(kind) is dict:
            child = get_args(kind)[1]
            if not (isinstance(child, type) and issubclass(child, _Section)):
                continue  # a plugin's own section
            for name, entry in value.items():
                if isinstance(entry, Mapping):
                    _refuse_unknown_keys(entry, child, (*parents, key, name), source)
