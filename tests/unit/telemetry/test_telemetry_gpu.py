"""A GPU's figures, against a stand-in of pynvml that has the package's own errors and constants.

What is tested is what we make of NVML's answers. No real GPU is asked here.
"""

from __future__ import annotations

import inspect
import threading
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from emberd.telemetry.gpu import GpuReader, GpuWatch
from emberd.wire.snapshot import GpuStats

BUS = "0000:3B:00.0"
ALL = {
    "nvmlInit": None,
    "nvmlShutdown": None,
    "nvmlDeviceGetHandleByPciBusId": "handle",
    "nvmlDeviceGetMemoryInfo": SimpleNamespace(used=6 << 30, total=24 << 30),
    "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=63, memory=20),
    "nvmlDeviceGetTemperature": 71,
    "nvmlDeviceGetPowerUsage": 212_400,
    "nvmlDeviceGetEnforcedPowerLimit": 350_000,
}


class Nvml:
    """Answers or raises by the name of the function; a call must fit the real one's signature."""

    NVML_TEMPERATURE_GPU = pynvml.NVML_TEMPERATURE_GPU

    def __init__(self, **answers: Any) -> None:
        self.answers = ALL | answers
        self.asked: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        if name not in ALL:  # what pytest asks of every parameter
            raise AttributeError(name)
        real = inspect.signature(getattr(pynvml, name))

        def call(*args: Any) -> Any:
            real.bind(*args)
            self.asked.append((name, *args))
            if isinstance(answer := self.answers[name], Exception):
                raise answer
            return answer

        return call

    def count(self, name: str) -> int:
        return sum(call[0] == name for call in self.asked)


def error(code: int) -> Exception:
    found = pynvml.NVMLError(code)
    assert type(found) is not pynvml.NVMLError, "the package has a class of its own for it"
    return found


def reader_of(nvml: Any, now: list[float] | None = None) -> GpuReader:
    def load(name: str) -> Any:
        assert name == "pynvml"
        if isinstance(nvml, Exception):
            raise nvml
        return nvml

    clock = now or [0.0]
    return GpuReader("Test GPU", BUS, load, lambda: clock[0])


def test_the_figures_are_those_of_the_gpu_at_that_bus_id() -> None:
    nvml = Nvml()
    reader = reader_of(nvml)
    for _ in range(2):
        assert reader.read() == GpuStats(
            name="Test GPU",
            busy_ratio=0.63,
            memory_used_bytes=6 << 30,
            memory_total_bytes=24 << 30,
            temperature_c=71.0,
            power_w=212.4,
            power_limit_w=350.0,
        )
    assert ("nvmlDeviceGetHandleByPciBusId", BUS) in nvml.asked
    assert nvml.count("nvmlInit") == 1


@pytest.mark.parametrize(
    ("function", "fields"),
    [
        ("nvmlDeviceGetUtilizationRates", ["busy_ratio"]),
        ("nvmlDeviceGetMemoryInfo", ["memory_used_bytes", "memory_total_bytes"]),
        ("nvmlDeviceGetTemperature", ["temperature_c"]),
        ("nvmlDeviceGetPowerUsage", ["power_w"]),
        ("nvmlDeviceGetEnforcedPowerLimit", ["power_limit_w"]),
    ],
)
@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_NO_PERMISSION])
def test_a_figure_that_is_not_supported_is_missing_alone(
    function: str, fields: list[str], code: int
) -> None:
    found = reader_of(Nvml(**{function: error(code)})).read()
    missing = [name for name in GpuStats.__struct_fields__ if getattr(found, name) is None]
    assert missing == fields
    assert found.message == ""


def test_figures_that_nvml_calls_not_available_are_missing() -> None:
    nothing = SimpleNamespace(used=(1 << 64) - 1, total=(1 << 64) - 1)
    no_use = SimpleNamespace(gpu=(1 << 32) - 1, memory=0)
    found = reader_of(
        Nvml(
            nvmlDeviceGetMemoryInfo=nothing,
            nvmlDeviceGetUtilizationRates=no_use,
            nvmlDeviceGetPowerUsage=(1 << 32) - 1,
        )
    ).read()
    assert (found.memory_used_bytes, found.memory_total_bytes) == (None, None)
    assert (found.busy_ratio, found.power_w, found.temperature_c) == (None, None, 71.0)


@pytest.mark.parametrize(
    ("nvml", "message"),
    [
        (ModuleNotFoundError("No module named 'pynvml'"), "pip install 'emberd[cuda]'"),
        (Nvml(nvmlInit=error(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)), "Library Not Found"),
        (Nvml(nvmlInit=error(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)), "Driver Not Loaded"),
        (
            Nvml(nvmlDeviceGetHandleByPciBusId=error(pynvml.NVML_ERROR_NOT_FOUND)),
            "Not Found",
        ),
    ],
)
def test_without_a_library_the_message_says_why(nvml: Any, message: str) -> None:
    now = [100.0]
    reader = reader_of(nvml, now)
    for _ in range(3):
        found = reader.read()
        assert message in found.message
        assert found.busy_ratio is None
    if isinstance(nvml, Nvml):
        assert nvml.count("nvmlInit") == 1, "tried again too soon"
        now[0] += 60
        reader.read()
        assert nvml.count("nvmlInit") == 2


def test_a_gpu_that_is_lost_is_looked_for_again() -> None:
    nvml, now = Nvml(), [100.0]
    reader = reader_of(nvml, now)
    assert reader.read().temperature_c == 71
    nvml.answers["nvmlDeviceGetUtilizationRates"] = error(pynvml.NVML_ERROR_GPU_IS_LOST)
    found = reader.read()
    assert (found.busy_ratio, found.temperature_c) == (None, None)
    assert "lost" in found.message.casefold()
    nvml.answers = ALL
    assert reader.read().temperature_c is None
    now[0] += 60
    found = reader.read()
    assert (found.temperature_c, found.message) == (71, "")


def test_the_real_package_is_found_and_says_why_there_are_no_figures() -> None:
    found = GpuReader("Test GPU", "ffff:ff:00.0").read()
    assert found.message.startswith("NVML: ")


def test_a_reading_that_hangs_holds_up_nobody_and_grows_stale() -> None:
    now, gate, begun = [0.0], threading.Event(), threading.Semaphore(0)

    def read() -> GpuStats:
        begun.release()
        gate.wait()
        return GpuStats(name="Test GPU")

    watch = GpuWatch(read, lambda: now[0])
    assert watch.tick() is None
    gate.set()
    watch.wait()
    assert watch.newest == GpuStats(name="Test GPU")
    gate.clear()
    assert watch.tick() is not None  # too soon for another
    for now[0] in (1.0, 2.0, 7.0):
        newest = watch.tick()
    assert newest is None
    gate.set()
    watch.wait()
    assert begun.acquire(timeout=1)
    assert begun.acquire(timeout=1)
    assert not begun.acquire(blocking=False), "one reading at a time"
