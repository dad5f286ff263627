"""What the engine calls a problem."""

from __future__ import annotations

import logging
from dataclasses import replace

from engine_fakes import cpu, text_of

from emberd.engine.device import cpu_instead
from emberd.engine.dispatch import Dispatcher
from emberd.engine.meter import Meter
from emberd.engine.report import engine_problems
from emberd.engine.scheduler import Scheduler
from emberd.engine.text import Batch, Outcome, Text
from emberd.telemetry.events import EventLog


class Silent:
    def settle(self, outcomes: list[tuple[Text, Outcome]]) -> None: ...
    def model_closed(self, model: str) -> None: ...
    def scheduler_failed(self, error: Exception) -> None: ...


def idle_dispatcher() -> Dispatcher:
    log = EventLog(logging.getLogger("emberd"))
    return Dispatcher(Scheduler(), Silent(), log, callers=1, is_background=False)


def test_a_device_that_was_asked_for_and_is_not_used_is_a_problem() -> None:
    device = replace(cpu(), note="No NVIDIA driver was found. Running on the CPU.")
    assert engine_problems(device, idle_dispatcher()) == []
    (problem,) = engine_problems(replace(device, is_fallback=True), idle_dispatcher())
    assert problem == 'engine.device is "cuda". No NVIDIA driver was found. Running on the CPU.'


def test_a_gpu_that_failed_in_use_is_a_problem_whatever_was_asked_for() -> None:
    gpu = replace(cpu(callers=2), kind="cuda", name="Test GPU", provider="CUDAExecutionProvider")
    (problem,) = engine_problems(cpu_instead(gpu, "CUDA failure 700."), idle_dispatcher())
    assert problem.startswith("Test GPU failed: CUDA failure 700. Running on the CPU.")


def test_a_batch_that_does_not_end_is_a_problem_until_it_ends() -> None:
    now = [100.0]
    dispatcher = idle_dispatcher()
    dispatcher.meter = Meter(lambda: now[0])
    batch = Batch([text_of(10)], budget=40)
    dispatcher.meter.started(0, batch)
    now[0] += 61
    assert "for 61 s" in engine_problems(cpu(), dispatcher)[0]
    dispatcher.meter.ended(0, batch, failed=False)
    assert engine_problems(cpu(), dispatcher) == []
