"""What a daemon puts into its snapshots of a GPU, from the device that it chose to the socket."""

from __future__ import annotations

from typing import Any

import pytest

from emberd.engine import driver
from emberd.engine.device import Device
from emberd.server import daemon
from emberd.testing import InProcessDaemon
from emberd.wire.snapshot import GpuStats


def test_the_gpu_of_the_engine_is_in_the_snapshot_of_those_who_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpu = Device("cuda", "Test GPU", "CUDAExecutionProvider", 2, 512, pci_bus_id="0000:3B:00.0")
    asked: list[tuple[str, str]] = []

    class Reader:
        def __init__(self, name: str, pci_bus_id: str) -> None:
            asked.append((name, pci_bus_id))

        def read(self) -> GpuStats:
            return GpuStats(name="Test GPU", busy_ratio=0.5)

    # No GPU is needed to start with one: a model of a plugin answers here.
    monkeypatch.setattr(driver, "choose_device", lambda _: gpu)
    monkeypatch.setattr(daemon, "GpuReader", Reader)
    with InProcessDaemon() as house:
        client = house.client()
        found: Any = None
        while found is None:  # the first look has it read
            found = client.stats(fresh=True).engine.gpu
    assert found == GpuStats(name="Test GPU", busy_ratio=0.5)
    assert asked == [("Test GPU", "0000:3B:00.0")]


def test_without_a_gpu_nothing_is_asked_of_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "GpuReader", None)  # calling it would fail
    with InProcessDaemon(settings={"engine": {"device": "cpu"}}) as house:
        engine = house.client().stats(fresh=True).engine
    assert engine.gpu is None
    assert engine.provider_reason == 'engine.device is "cpu"'
