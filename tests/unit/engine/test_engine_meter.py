"""The engine's figures over a window."""

from __future__ import annotations

from engine_fakes import text_of

from emberd.engine.meter import Meter
from emberd.engine.text import Batch


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_window_covers_the_time_since_the_last_one() -> None:
    clock = Clock()
    meter = Meter(clock)
    batch = Batch([text_of(10), text_of(8)], budget=40)
    meter.started(0, batch)
    clock.now += 1.0
    meter.ended(0, batch, failed=False)
    clock.now += 1.0
    window = meter.window(callers=2)
    assert (window.batches.per_s, window.batches.tokens_per_s) == (0.5, 9.0)
    assert (window.batches.fill_ratio, window.batches.padding_ratio) == (0.45, 0.1)
    assert window.busy_ratio == 0.25
    assert (window.stage_ms["compute"], window.stage_ms["tokenise"]) == (500.0, 0.0)
    clock.now += 1.0
    window = meter.window(callers=2)
    assert (window.batches.per_s, window.busy_ratio, window.batches.total) == (0, 0, 1)
    assert window.stage_ms == {}, "nothing was computed, so there is no mean"


def test_a_batch_that_runs_on_is_busy_time_of_every_window() -> None:
    clock = Clock()
    meter = Meter(clock)
    batch = Batch([text_of(10)], budget=40)
    meter.started(0, batch)
    clock.now += 2.0
    assert meter.window(callers=1).busy_ratio == 1.0
    assert meter.longest_run_s() == 2.0
    clock.now += 1.0
    meter.ended(0, batch, failed=True)
    clock.now += 1.0
    assert meter.window(callers=1).busy_ratio == 0.5
    assert (meter.totals.failed, meter.totals.batches, meter.longest_run_s()) == (1, 0, 0.0)
