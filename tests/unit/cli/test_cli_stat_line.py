"""A line of figures fits its header, whatever the figures."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberd.cli.stat_line import HEADER, stat_line
from emberd.wire.snapshot import (
    BatchStats,
    DaemonStats,
    EngineStats,
    Latency,
    RequestStats,
    Snapshot,
    TextStats,
)


def snapshot_of(**texts: float) -> Snapshot:
    return Snapshot(
        daemon=DaemonStats(version="1", pid=1),
        texts=TextStats(**texts),  # type: ignore[arg-type]
        requests=RequestStats(latency=Latency(count=1, p50_ms=0.31, p99_ms=120.4)),
        engine=EngineStats(
            busy_ratio=0.5, queue_texts=12, batches=BatchStats(tokens_per_s=34_500.0)
        ),
    )


def test_the_figures_stand_under_their_names() -> None:
    line = stat_line(snapshot_of(per_s=1200.4, hit_ratio=0.75, computed_per_s=300.0))
    names, values = HEADER.split(), line.split()
    shown = dict(zip([n for n in names if n != "ms"], values, strict=True))
    assert shown["texts/s"] == "1200"
    assert shown["hit%"] == "75"
    assert shown["comp/s"] == "300"
    assert shown["tok/s"] == "34500"
    assert shown["p50"] == "0.31"
    assert shown["p99"] == "120"
    assert shown["queue"] == "12"
    assert shown["busy%"] == "50"
    assert shown["health"] == "ok"


def test_an_idle_daemon_looks_idle() -> None:
    line = stat_line(Snapshot(daemon=DaemonStats(version="1", pid=1)))
    assert line.split()[:6] == ["0.0", "-", "0.0", "0.0", "-", "-"]


def test_a_draining_daemon_says_so() -> None:
    draining = Snapshot(daemon=DaemonStats(version="1", pid=1, state="draining"))
    assert stat_line(draining).endswith("draining")


@given(st.floats(0, 2e6), st.floats(0, 1))
def test_columns_never_move(per_s: float, ratio: float) -> None:
    line = stat_line(snapshot_of(per_s=per_s, hit_ratio=ratio, computed_per_s=per_s))
    assert len(line) == len(HEADER)


@pytest.mark.parametrize("per_s", [0.04, 3.21, 9.96, 99_949, 1_234_567])
def test_rates_stay_readable(per_s: float) -> None:
    first = stat_line(snapshot_of(per_s=per_s)).split()[0]
    number = float(first.rstrip("k")) * (1000 if first.endswith("k") else 1)
    assert math.isclose(number, per_s, rel_tol=0.05, abs_tol=0.05)
