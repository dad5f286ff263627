"""A GPU that fails, at a model's loading or in the middle: no text is lost, and it is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest
from engine_fakes import TinyBackend, cpu, model_named

import emberd.engine.driver
from emberd.config import EngineSettings
from emberd.engine import Device, Embedded, Encoded, Engine
from emberd.errors import EmbeddingFailedError, ModelLoadFailedError
from emberd.models import StoredModel
from emberd.telemetry.events import EventLog

BOUND_S = 20
GPU = replace(cpu(), kind="cuda", name="Test GPU", provider="CUDAExecutionProvider")
FAILURE = "CUDA failure 700: an illegal memory access was encountered"


class Machine:
    """A machine with a GPU that can be broken, and what runs on it."""

    def __init__(self, *, opens: bool = True, is_gone: bool = True) -> None:
        self.opens = opens
        self.is_gone = is_gone
        self.is_broken = not opens
        self.opened: list[tuple[str, str]] = []
        self.on_cpu: list[int] = []
        self.log = EventLog(logging.getLogger("emberd"))

    def choose(self, _: EngineSettings) -> Device:
        return cpu() if self.is_broken and self.is_gone and self.opened else GPU

    def open(self, model: StoredModel, device: Device) -> TinyBackend:
        self.opened.append((model.info.fingerprint, device.kind))
        if device.kind == "cuda" and not self.opens:
            raise ModelLoadFailedError(FAILURE)
        return OnGpu(self) if device.kind == "cuda" else OnCpu(self)

    def events(self) -> list[str]:
        return [record.event for record in self.log.records()]


class OnGpu(TinyBackend):
    batch_tokens = 4_096

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self.machine = machine

    def embed(self, rows: Sequence[Encoded], width: int, *, alone: bool) -> np.ndarray:
        if self.machine.is_broken:
            raise RuntimeError(FAILURE)
        return super().embed(rows, width, alone=alone)


class OnCpu(TinyBackend):
    """Every vector says that it was made here."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self.machine = machine

    def embed(self, rows: Sequence[Encoded], width: int, *, alone: bool) -> np.ndarray:
        assert max(row.length for row in rows) == width
        self.machine.on_cpu.append(len(rows) * width)
        return np.full((len(rows), self.dim), 7.0, np.float32)


@asynccontextmanager
async def running(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Engine]:
    monkeypatch.setattr(emberd.engine.driver, "choose_device", machine.choose)
    engine = Engine(EngineSettings(), log=machine.log, open_backend=machine.open)
    await engine.start()
    try:
        await engine.load(model_named("m"))
        yield engine
    finally:
        await asyncio.wait_for(engine.close(), BOUND_S)


async def embed(engine: Engine, *texts: str) -> list[object]:
    futures = engine.submit("m", texts)
    return await asyncio.wait_for(asyncio.gather(*futures, return_exceptions=True), BOUND_S)


async def test_a_gpu_that_fails_in_the_middle_loses_no_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine()
    async with running(machine, monkeypatch) as engine:
        texts = [f"text {index}" for index in range(60)]
        await embed(engine, *texts)
        assert engine.stats().batch_tokens == 4_096
        assert engine.problems() == []
        machine.is_broken = True
        found = await embed(engine, *[f"another {index}" for index in range(2_000)])
        assert all(isinstance(one, Embedded) and one.vector[0] == 7 for one in found)
        stats = engine.stats()
        assert max(machine.on_cpu) <= stats.batch_tokens < 4_096
        assert (engine.device.kind, stats.provider) == ("cpu", "CPUExecutionProvider")
        assert stats.provider_note.startswith(f"Test GPU failed: {FAILURE}. Running on the CPU.")
        assert engine.problems() == [stats.provider_note]
        assert machine.events().count("engine.gpu_failed") == 1
        await engine.load(model_named("another"))
        assert machine.opened == [("m", "cuda"), ("m", "cpu"), ("another", "cpu")]


async def test_a_gpu_that_fails_at_the_loading_is_told_and_the_cpu_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine(opens=False)
    async with running(machine, monkeypatch) as engine:
        (found,) = await embed(engine, "text")
        assert isinstance(found, Embedded)
        assert engine.device.is_lost
        assert FAILURE in engine.problems()[0]
        assert not engine.is_healthy
        assert "engine.gpu_failed" in machine.events()


async def test_a_model_that_the_gpu_cannot_run_does_not_cost_the_others_theirs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine(opens=False, is_gone=False)
    async with running(machine, monkeypatch) as engine:
        assert engine.device.kind == "cuda"
        (problem,) = engine.problems()
        assert problem.startswith("tiny-m: Test GPU failed")
        assert engine.stats().batch_tokens < 4_096
        await engine.unload("m")
        assert engine.problems() == []


async def test_a_text_that_fails_by_itself_is_no_failure_of_the_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine()
    async with running(machine, monkeypatch) as engine:
        good, bad = await embed(engine, "good", "poison")
        assert isinstance(good, Embedded)
        assert isinstance(bad, EmbeddingFailedError)
        assert machine.opened == [("m", "cuda")]


async def test_too_little_memory_is_no_failure_of_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine()
    monkeypatch.setattr(OnGpu, "embed", TinyBackend.embed)
    async with running(machine, monkeypatch) as engine:
        backend = engine._residents.get("m")
        backend._gpu.memory_tokens = 8
        found = await embed(engine, *[f"a text {index}" for index in range(10)])
        assert all(isinstance(one, Embedded) for one in found)
        assert machine.opened == [("m", "cuda")]


async def test_a_model_that_runs_nowhere_fails_with_the_first_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine(opens=False)

    def refuse(model: StoredModel, device: Device) -> TinyBackend:
        raise ModelLoadFailedError(f"not on {device.kind}")

    monkeypatch.setattr(machine, "open", refuse)
    with pytest.raises(ModelLoadFailedError, match="not on cuda"):
        async with running(machine, monkeypatch):
            pass
    assert "engine.gpu_failed" not in machine.events()
