"""Which device the engine runs on, found out by trying, and why not a better one."""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from emberd.config import EngineSettings

__all__ = [
    "CPU_BATCH_TOKENS",
    "GPU_BATCH_TOKENS",
    "Device",
    "choose_device",
    "cpu_instead",
    "usable_cores",
]

# 6,200 tokens/s a core at 256 and 512 tokens, 5,800 at 1,024, 5,500 at 4,096.
CPU_BATCH_TOKENS = 512
GPU_BATCH_TOKENS = 32_768

_CPU = "CPUExecutionProvider"
_CUDA = "CUDAExecutionProvider"
_NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE


@dataclass(frozen=True, slots=True)
class Device:
    """A device and how to use it."""

    kind: Literal["cpu", "cuda"]
    name: str
    provider: str
    callers: int
    """CPU: each computes on one core. GPU: one runs while the other prepares the next batch."""
    batch_tokens: int
    note: str = ""
    """Why a better provider is not in use and what to do; empty where there is nothing to do."""
    reason: str = ""
    """On a CPU, why, in a few words, then what helps."""
    pci_bus_id: str = ""
    """Of a GPU: what NVIDIA's management library knows it by."""
    is_fallback: bool = False
    """The settings asked for another device."""
    is_lost: bool = False
    """It stands in for a GPU that was used and failed; `note` says how."""
    threads: int = 1
    """On a CPU: threads of one run."""
    memory_mib: int = 0
    """Of a GPU: the most memory that a model's runs may take; 0 means all that there is."""
    is_fitted: bool = False
    """Of a GPU: a model's batches are as large as a measurement finds best, and not
    `batch_tokens`."""


class _UnusableError(Exception):
    """Why there is no GPU to use; `is_worth_telling` where there seems to be one."""

    def __init__(self, reason: str, in_short: str, *, is_worth_telling: bool = True) -> None:
        super().__init__(reason)
        self.in_short = in_short
        self.is_worth_telling = is_worth_telling


class _Gpu(NamedTuple):
    """The first GPU that the driver shows this process: CUDA_VISIBLE_DEVICES counts."""

    name: str
    pci_bus_id: str


def choose_device(settings: EngineSettings) -> Device:
    """The device that the settings ask for, or the CPU with a note saying why.

    Blocking: the first use of a GPU takes seconds.
    """
    if settings.device == "cpu":
        return _cpu(settings, reason='engine.device is "cpu"')
    try:
        gpu = _usable_gpu()
    except _UnusableError as exc:
        is_asked_for = settings.device == "cuda"
        note = f"{exc} Running on the CPU." if is_asked_for or exc.is_worth_telling else ""
        return _cpu(settings, note=note, reason=exc.in_short, is_fallback=is_asked_for)
    return Device(
        "cuda",
        gpu.name,
        _CUDA,
        callers=2,
        batch_tokens=settings.batch_tokens or GPU_BATCH_TOKENS,
        pci_bus_id=gpu.pci_bus_id,
        memory_mib=settings.gpu_memory_mib,
        is_fitted=not settings.batch_tokens,
    )


def cpu_instead(gpu: Device, why: str) -> Device:
    """The CPU in the place of a GPU that failed in use: as many callers, which share the cores."""
    threads = max(1, usable_cores() // gpu.callers)
    return Device(
        "cpu",
        f"CPU ({min(usable_cores(), threads * gpu.callers)} cores)",
        _CPU,
        gpu.callers,
        CPU_BATCH_TOKENS * threads,
        note=f"{gpu.name} failed: {why.rstrip('.')}. Running on the CPU. Check it with nvidia-smi, "
        "then restart the daemon.",
        reason=f"{gpu.name} failed -> restart the daemon",
        is_lost=True,
        threads=threads,
    )


def usable_cores() -> int:
    """Cores that this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _cpu(
    settings: EngineSettings, *, reason: str, note: str = "", is_fallback: bool = False
) -> Device:
    callers = settings.threads or usable_cores()
    name = f"CPU ({callers} core{'' if callers == 1 else 's'})"
    tokens = settings.batch_tokens or CPU_BATCH_TOKENS
    return Device(
        "cpu", name, _CPU, callers, tokens, note=note, reason=reason, is_fallback=is_fallback
    )


def _usable_gpu() -> _Gpu:
    """The GPU, once a session has really run on it; raises _UnusableError."""
    gpu = _gpu_of_the_driver()
    # Slow to import, and only wanted here and where a model is loaded.
    import onnxruntime  # noqa: PLC0415

    if _CUDA not in onnxruntime.get_available_providers():
        raise _UnusableError(
            f"{gpu.name} is there, but this onnxruntime has no CUDA provider. Uninstall "
            "onnxruntime, then install onnxruntime-gpu.",
            "onnxruntime has no CUDA provider -> install onnxruntime-gpu in its place",
        )
    onnxruntime.set_default_logger_severity(4)  # its complaint goes to stderr; ours into the note
    if hasattr(onnxruntime, "preload_dlls"):
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does not find
            onnxruntime.preload_dlls()
    _try_provider(onnxruntime, gpu.name)
    return gpu


def _gpu_of_the_driver() -> _Gpu:
    """The first GPU, from NVIDIA's driver: ONNX Runtime lists CUDA without any GPU."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        raise _UnusableError(
            "No NVIDIA driver was found.", "no NVIDIA driver found", is_worth_telling=False
        ) from None
    if code := driver.cuInit(0):
        raise _UnusableError(
            f"NVIDIA's driver does not start (cuInit returned {code}). Check it with nvidia-smi.",
            "no CUDA device found"
            if code == _NO_DEVICE
            else f"NVIDIA's driver fails ({code}) -> check it with nvidia-smi",
            is_worth_telling=code != _NO_DEVICE,
        )
    count, device = ctypes.c_int(0), ctypes.c_int(0)
    driver.cuDeviceGetCount(ctypes.byref(count))
    if not count.value:
        raise _UnusableError(
            "NVIDIA's driver lists no GPU.", "no CUDA device found", is_worth_telling=False
        )
    name, pci_bus_id = ctypes.create_string_buffer(128), ctypes.create_string_buffer(32)
    driver.cuDeviceGet(ctypes.byref(device), 0)
    driver.cuDeviceGetName(name, len(name), device)
    driver.cuDeviceGetPCIBusId(pci_bus_id, len(pci_bus_id), device)
    shown = name.value.decode("utf-8", "replace") or "NVIDIA GPU"
    return _Gpu(shown, pci_bus_id.value.decode("ascii", "replace"))


def _try_provider(ort: Any, name: str) -> None:
    """Run a matrix product on the GPU: it needs the libraries that most often are missing."""
    import numpy as np  # noqa: PLC0415

    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(_MATMUL, options, providers=[_CUDA])
        is_used = session.get_providers()[0] == _CUDA  # it falls back without a word
        session.disable_fallback()
        row = np.ones((1, 1), np.float32)
        session.run(None, {"a": row, "b": row})
    except Exception as exc:
        raise _UnusableError(
            f"{name} is there, but ONNX Runtime cannot use it: {exc}.",
            "the CUDA provider fails its test",
        ) from exc
    if not is_used:
        why = _missing_library(ort)
        library = why.partition(":")[0] if ".so" in why else "a CUDA library"
        fault = "is missing" if "No such file" in why else "does not load"
        raise _UnusableError(
            f"{name} is there, but ONNX Runtime cannot use it: {why}. Install "
            "the CUDA libraries with: pip install 'emberd[cuda]'.",
            f"{library} {fault} -> pip install 'emberd[cuda]'",
        )


def _missing_library(ort: Any) -> str:
    """The loader's own words for why the CUDA provider does not load."""
    folder = Path(ort.__file__).parent / "capi"
    try:
        ctypes.CDLL(str(folder / "libonnxruntime_providers_cuda.so"))
    except OSError as exc:
        return str(exc)
    return "its CUDA libraries do not load"


# A serialised ONNX model: c[1,1] = MatMul(a[1,1], b[1,1]), float32, opset 13.
_MATMUL = (
    b'\x08\x07:U\n\x11\n\x01a\n\x01b\x12\x01c"\x06MatMul\x12\x01gZ\x13\n\x01a\x12\x0e\n\x0c\x08\x01'
    b"\x12\x08\n\x02\x08\x01\n\x02\x08\x01Z\x13\n\x01b\x12\x0e\n\x0c\x08\x01\x12\x08\n\x02\x08\x01"
    b"\n\x02\x08\x01b\x13\n\x01c\x12\x0e\n\x0c\x08\x01\x12\x08\n\x02\x08\x01\n\x02\x08\x01B\x04"
    b"\n\x00\x10\r"
)
