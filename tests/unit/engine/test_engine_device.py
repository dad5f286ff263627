"""Which device is used, and what is said when it is not the one asked for."""

from __future__ import annotations

from typing import Any

import pytest

from emberd.config import EngineSettings
from emberd.engine import device
from emberd.engine.device import choose_device, usable_cores


class Driver:
    """NVIDIA's driver, as far as it is asked."""

    def __init__(self, code: int = 0, count: int = 1) -> None:
        self.code, self.count = code, count

    def cuInit(self, _: int) -> int:  # noqa: N802
        return self.code

    def cuDeviceGetCount(self, count: Any) -> None:  # noqa: N802
        count._obj.value = self.count

    def cuDeviceGet(self, *_: Any) -> None:  # noqa: N802
        pass

    def cuDeviceGetName(self, name: Any, *_: Any) -> None:  # noqa: N802
        name.value = b"Test GPU"

    def cuDeviceGetPCIBusId(self, found: Any, *_: Any) -> None:  # noqa: N802
        found.value = b"0000:3B:00.0"


def install_driver(monkeypatch: pytest.MonkeyPatch, driver: Driver | None) -> None:
    real = device.ctypes.CDLL

    def load(name: str) -> Any:
        if "libcuda.so" not in name and "nvcuda" not in name:
            return real(name)
        if driver is None:
            raise OSError("not found")
        return driver

    monkeypatch.setattr(device.ctypes, "CDLL", load)


def test_the_cpu_is_used_with_one_caller_a_core() -> None:
    found = choose_device(EngineSettings(device="cpu"))
    assert (found.kind, found.note, found.callers) == ("cpu", "", usable_cores())
    assert found.reason == 'engine.device is "cpu"'
    assert choose_device(EngineSettings(device="cpu", threads=3)).name == "CPU (3 cores)"
    assert choose_device(EngineSettings(device="cpu", batch_tokens=99)).batch_tokens == 99


@pytest.mark.parametrize(
    ("driver", "reason"),
    [
        (None, "no NVIDIA driver found"),
        (Driver(count=0), "no CUDA device found"),
        (Driver(code=100), "no CUDA device found"),
    ],
)
def test_a_machine_without_a_gpu_has_a_reason_but_nothing_to_note(
    monkeypatch: pytest.MonkeyPatch, driver: Driver | None, reason: str
) -> None:
    install_driver(monkeypatch, driver)
    found = choose_device(EngineSettings(device="auto"))
    assert (found.kind, found.note, found.is_fallback) == ("cpu", "", False)
    assert found.reason == reason


def test_a_gpu_has_two_callers_and_batches_of_a_measured_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(device, "_usable_gpu", lambda: device._Gpu("Test GPU", "0000:3B:00.0"))
    found = choose_device(EngineSettings(gpu_memory_mib=512))
    assert (found.kind, found.callers, found.is_fitted) == ("cuda", 2, True)
    assert found.memory_mib == 512
    fixed = choose_device(EngineSettings(batch_tokens=99))
    assert (fixed.batch_tokens, fixed.is_fitted) == (99, False)


@pytest.mark.parametrize(
    ("driver", "reason"),
    [
        (None, "No NVIDIA driver"),
        (Driver(count=0), "lists no GPU"),
        (Driver(code=803), r"cuInit returned 803"),
    ],
)
def test_a_gpu_that_was_asked_for_and_is_not_there_is_told(
    monkeypatch: pytest.MonkeyPatch, driver: Driver | None, reason: str
) -> None:
    install_driver(monkeypatch, driver)
    found = choose_device(EngineSettings(device="cuda"))
    assert (found.kind, found.is_fallback) == ("cpu", True)
    assert reason in found.note
    assert found.note.endswith("Running on the CPU.")


def test_a_gpu_that_the_runtime_cannot_use_is_told_even_when_not_asked_for(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    install_driver(monkeypatch, None)
    if choose_device(EngineSettings()).kind == "cuda":
        pytest.skip("this machine's GPU works")
    install_driver(monkeypatch, Driver())
    found = choose_device(EngineSettings(device="auto"))
    assert found.kind == "cpu"
    assert found.note.startswith("Test GPU is there, but")
    assert " -> " in found.reason
    assert capfd.readouterr() == ("", ""), "the runtime's own complaint is ours to tell"
