from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import aiohttp
import msgspec
import pytest
from http_standin import Rig, plain_snapshot
from hypothesis import given
from hypothesis import strategies as st

from emberd.server.http.families import FAMILIES
from emberd.server.http.metrics import render
from emberd.wire.snapshot import (
    BatchStats,
    CacheStats,
    ClientStats,
    DaemonStats,
    EngineStats,
    EventRecord,
    GpuStats,
    Latency,
    MethodStats,
    ModelStats,
    NamespaceStats,
    PluginStats,
    RequestStats,
    Snapshot,
    TextStats,
    TierStats,
    WriteBehindStats,
)

Series = tuple[str, tuple[tuple[str, str], ...]]

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_HELP = re.compile(rf"# HELP ({_NAME}) ((?:[^\\\n]|\\\\|\\n)*)")
_TYPE = re.compile(rf"# TYPE ({_NAME}) (counter|gauge)")
_PAIR = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\n|\\")*)"')
_SAMPLE = re.compile(rf"({_NAME})(?:\{{({_PAIR.pattern}(?:,{_PAIR.pattern})*)\}})? (\S+)")
_ESCAPES = {r"\\": "\\", r"\n": "\n", r"\"": '"'}


def parse(text: str) -> tuple[dict[str, str], dict[Series, float]]:
    """The types and the series of an exposition; fails on whatever the format does not allow."""
    assert text.endswith("\n")
    types: dict[str, str] = {}
    series: dict[Series, float] = {}
    helped = ""
    for line in text[:-1].split("\n"):
        if found := _HELP.fullmatch(line):
            helped = found[1]
            assert helped not in types, "one HELP a metric"
        elif found := _TYPE.fullmatch(line):
            assert found[1] == helped, "TYPE follows its HELP, before the samples"
            types[found[1]] = found[2]
        else:
            found = _SAMPLE.fullmatch(line)
            assert found is not None, line
            assert found[1] == helped, "the samples of a metric stand together"
            labels = tuple(_labels(found[2] or ""))
            assert len(dict(labels)) == len(labels), "a label once"
            assert (found[1], labels) not in series, "a series once"
            series[found[1], labels] = float(found[found.lastindex or 0])
    return types, series


def _labels(text: str) -> Iterator[tuple[str, str]]:
    for name, value in _PAIR.findall(text):
        yield name, re.sub(r'\\\\|\\n|\\"', lambda found: _ESCAPES[found[0]], value)


def full_snapshot() -> Snapshot:
    """A snapshot in which every number is another one, so that each can be found again."""
    count = iter(range(1_000, 9_999))

    def numbers(part: type[msgspec.Struct], /, **rest: Any) -> Any:
        fields = [field for field in msgspec.structs.fields(part) if field.name not in rest]
        given = {f.name: f.type(next(count)) for f in fields if f.type in {int, float}}
        return part(**given, **rest)

    def latency() -> Any:
        return numbers(Latency)

    return numbers(
        Snapshot,
        version=1,
        daemon=numbers(
            DaemonStats,
            version="1.2.3",
            pid=1,
            state="draining",
            health="degraded",
            problems=["the disk is full"],
        ),
        requests=numbers(
            RequestStats,
            latency=latency(),
            methods={
                "embed": numbers(MethodStats, latency=latency()),
                "ping": numbers(MethodStats, latency=latency()),
            },
        ),
        texts=numbers(TextStats),
        cache=CacheStats(
            tiers=[
                numbers(TierStats, name="memory", kind="memory", lookup=latency()),
                numbers(TierStats, name="lmdb", kind="lmdb", state="tripped", lookup=latency()),
            ],
            write_behind=numbers(WriteBehindStats),
            namespaces=[numbers(NamespaceStats, name="default")],
        ),
        engine=numbers(
            EngineStats,
            device="CPU (2 cores)",
            batches=numbers(BatchStats, latency=latency()),
            stages={"queue": 9_990.0, "compute": 9_991.0},
            gpu=GpuStats(
                busy_ratio=9_980.0,
                memory_used_bytes=9_981,
                memory_total_bytes=9_982,
                temperature_c=9_983.0,
                power_w=9_984.0,
                power_limit_w=9_985.0,
            ),
        ),
        models=[numbers(ModelStats, name="m", fingerprint="f", is_default=True)],
        clients=[ClientStats(id=1, transport="http"), ClientStats(id=2, transport="http")],
        plugins=[
            numbers(PluginStats, name="lmdb", latency=latency()),
            numbers(PluginStats, name="redis", state="tripped", latency=latency()),
        ],
        events=[EventRecord(time=1.0, level="info", event="daemon.ready")],
    )


def numbers_of(value: Any, path: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for key, child in value.items():
            yield from numbers_of(child, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for child in value:
            yield from numbers_of(child, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, value


# Rates are Prometheus' own to make, sums too, and a client or an event is no series.
NOT_SHOWN = re.compile(
    r"version|daemon\.pid|clients\..*|events\..*|.*_per_s|(.*\.)?per_s|.*(latency|lookup)\.count"
    r"|requests\.(total|failed|latency\..*)"
)


def test_every_number_of_the_snapshot_is_shown_with_its_value() -> None:
    snapshot = full_snapshot()
    _, series = parse(render(FAMILIES, snapshot))
    labelled = {value for _, labels in series for _, value in labels}
    for path, number in numbers_of(msgspec.to_builtins(snapshot)):
        if NOT_SHOWN.fullmatch(path):
            continue
        shown = number / 1e3 if path.endswith("_ms") else number
        assert shown in series.values() or str(number) in labelled, path


def test_the_format_is_kept_and_counters_end_in_total() -> None:
    types, series = parse(render(FAMILIES, full_snapshot()))
    assert len(types) == len(FAMILIES)
    assert {name for name, _ in series} == set(types)
    for name, kind in types.items():
        assert name.startswith("emberd_")
        assert (kind == "counter") == name.endswith("_total")


def test_states_are_told_as_one_of_all() -> None:
    _, series = parse(render(FAMILIES, full_snapshot()))
    tier = (("tier", "lmdb"), ("kind", "lmdb"))
    states = {
        state: series["emberd_cache_tier_state", (*tier, ("state", state))]
        for state in ("ok", "read_only", "tripped", "off")
    }
    assert states == {"ok": 0, "read_only": 0, "tripped": 1, "off": 0}
    plugin = {
        dict(labels)["state"]: value
        for (name, labels), value in series.items()
        if name == "emberd_plugin_state" and ("plugin", "redis") in labels
    }
    assert set(plugin) == set(get_args(get_type_hints(PluginStats)["state"]))
    assert [state for state, value in plugin.items() if value] == ["tripped"]
    assert series["emberd_healthy", ()] == 0
    assert series["emberd_draining", ()] == 1
    assert series["emberd_problems", ()] == 1
    assert series["emberd_clients", (("transport", "http"),)] == 2


def test_an_empty_daemon_has_metrics_too() -> None:
    types, series = parse(render(FAMILIES, plain_snapshot()))
    assert series["emberd_healthy", ()] == 1
    assert types["emberd_model_texts_total"] == "counter"
    assert not [name for name, _ in series if "latency" in name], "no latency is not one of 0"


@given(st.text())
def test_any_label_survives_the_format(name: str) -> None:
    snapshot = Snapshot(
        daemon=DaemonStats(version="1", pid=1),
        cache=CacheStats(namespaces=[NamespaceStats(name=name, hits=7)]),
    )
    _, series = parse(render(FAMILIES, snapshot))
    assert series["emberd_namespace_hits_total", (("namespace", name),)] == 7


@pytest.mark.parametrize(
    ("value", "text"),
    [(float("inf"), "+Inf"), (float("-inf"), "-Inf"), (float("nan"), "NaN"), (1e-9, "1e-09")],
)
def test_odd_numbers_are_written_as_prometheus_reads_them(value: float, text: str) -> None:
    lines = render(FAMILIES, plain_snapshot(uptime_s=value)).splitlines()
    assert f"emberd_uptime_seconds {text}" in lines


async def test_metrics_are_those_of_the_latest_snapshot(
    rig: Rig, client: aiohttp.ClientSession
) -> None:
    rig.snapshot = full_snapshot()
    async with client.get("/metrics") as response:
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert await response.text() == render(FAMILIES, rig.snapshot)
