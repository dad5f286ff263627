"""What the engine says of itself: its part of the snapshot, and its problems."""

from __future__ import annotations

from emberd.engine.device import Device
from emberd.engine.dispatch import Dispatcher
from emberd.wire.snapshot import EngineStats

__all__ = ["engine_problems", "engine_stats"]

_STUCK_S = 60.0


def engine_stats(
    device: Device, dispatcher: Dispatcher, *, open_texts: int, queue_limit: int, budget: int
) -> EngineStats:
    """One call a window; `open_texts` are those without an answer, `budget` the largest in use."""
    meter, gauges = dispatcher.meter, dispatcher.gauges
    window = meter.window(device.callers)
    totals = meter.totals
    oldest_s = gauges.oldest_s
    return EngineStats(
        device=device.name,
        provider=device.provider,
        provider_note=device.note,
        provider_reason=device.reason,
        callers=device.callers,
        callers_busy=gauges.running,
        busy_ratio=window.busy_ratio,
        queue_texts=max(0, open_texts - gauges.running_texts),
        queue_tokens=gauges.waiting_tokens,
        queue_limit=queue_limit,
        oldest_ms=max(0.0, meter.clock() - oldest_s) * 1e3 if oldest_s is not None else 0.0,
        batch_tokens=budget,
        restarts=totals.restarts,
        batches=window.batches,
        stages=totals.stages(),
        stage_ms=window.stage_ms,
    )


def engine_problems(device: Device, dispatcher: Dispatcher) -> list[str]:
    """Each with what to do; empty when all is well."""
    found = dispatcher.problems()
    if device.is_lost:
        found.append(device.note)
    elif device.is_fallback:
        found.append(f'engine.device is "cuda". {device.note}')
    stuck_s = dispatcher.meter.longest_run_s()
    if stuck_s > _STUCK_S:
        found.append(
            f"A batch has been on the device for {stuck_s:.0f} s. If it does not end, restart "
            "the daemon."
        )
    return found
