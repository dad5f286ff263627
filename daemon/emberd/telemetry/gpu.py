"""The figures of the GPU in use, from NVIDIA's management library (NVML, the package nvidia-ml-py).

Whatever NVML cannot or will not tell is None: a laptop's power limit, the utilisation of a GPU that
is cut into MIG instances, all of a GPU that fell off the bus. The module is tested against a
stand-in of the package with its real errors and constants; with a real GPU it has not been run.
"""

from __future__ import annotations

import importlib
import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from emberd.wire.snapshot import GpuStats

__all__ = ["GpuReader", "GpuWatch"]

_PACKAGE: Final = "pynvml"
_AGAIN_S: Final = 30.0
"""Between two tries to reach a library that does not answer."""
_STALE_S: Final = 5.0
_PERIOD_S: Final = 0.9  # under the second between two snapshots
# NVML says "not available" by -1, in whatever unsigned type it has.
_NO_UINT: Final = (1 << 32) - 1
_NO_ULONGLONG: Final = (1 << 64) - 1
# Of NVML's errors these end the session; "not supported" and its like are one figure's alone.
_LOST: Final = frozenset(
    f"NVMLError_{name}" for name in ("GpuIsLost", "Uninitialized", "DriverNotLoaded")
)


class GpuReader:
    """Reads one GPU, which it finds by its PCI bus id: NVML numbers GPUs in another order than CUDA
    does, and knows nothing of CUDA_VISIBLE_DEVICES. Blocks; one thread at a time."""

    def __init__(
        self,
        name: str,
        pci_bus_id: str,
        load: Callable[[str], Any] = importlib.import_module,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._pci_bus_id = pci_bus_id
        self._load = load
        self._clock = clock
        self._nvml: Any = None
        self._handle: Any = None
        self._next_try = 0.0
        self._message = ""

    def read(self) -> GpuStats:
        """The figures of now. Raises nothing; `message` says why there are none."""
        if self._handle is None and not self._opened():
            return GpuStats(name=self._name, message=self._message)
        nvml, handle = self._nvml, self._handle
        memory = self._asked(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
        use = self._asked(lambda: nvml.nvmlDeviceGetUtilizationRates(handle))
        celsius = self._asked(
            lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)
        )
        milliwatts = self._asked(lambda: nvml.nvmlDeviceGetPowerUsage(handle))
        limit = self._asked(lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle))
        return GpuStats(
            name=self._name,
            message=self._message,
            busy_ratio=_scaled(getattr(use, "gpu", None), 100),
            memory_used_bytes=_told(getattr(memory, "used", None), _NO_ULONGLONG),
            memory_total_bytes=_told(getattr(memory, "total", None), _NO_ULONGLONG),
            temperature_c=_scaled(celsius, 1),
            power_w=_scaled(milliwatts, 1e3),
            power_limit_w=_scaled(limit, 1e3),
        )

    def _opened(self) -> bool:
        """Find the GPU, where that was not tried just now."""
        now = self._clock()
        if now < self._next_try:
            return False
        self._next_try = now + _AGAIN_S
        try:
            self._nvml = self._load(_PACKAGE)
            self._nvml.nvmlInit()
            self._handle = self._nvml.nvmlDeviceGetHandleByPciBusId(self._pci_bus_id)
        except ImportError:
            self._message = "For its figures: pip install 'emberd[cuda]' (nvidia-ml-py)."
        except Exception as exc:
            self._message = f"NVML: {exc}."
        else:
            self._message = ""
        return self._handle is not None

    def _asked(self, ask: Callable[[], Any]) -> Any:
        """One figure; None where there is none, and for all once the GPU is lost."""
        if self._handle is None:
            return None
        try:
            return ask()
        except Exception as exc:
            if type(exc).__name__ in _LOST:
                self._handle, self._message = None, f"NVML: {exc}."
                with suppress(Exception):
                    self._nvml.nvmlShutdown()
            return None


class GpuWatch:
    """The newest figures, read on a thread, once a second at most: the event loop never waits.

    A reading that hangs, as with a driver that does, keeps nothing else from going on.
    """

    def __init__(
        self, read: Callable[[], GpuStats], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._clock = clock
        self._newest: tuple[float, GpuStats] | None = None
        self._thread: threading.Thread | None = None
        self._started = -math.inf

    def tick(self) -> GpuStats | None:
        """Have new figures read where it is time; those that were read last, as `newest`."""
        now = self._clock()
        is_busy = self._thread is not None and self._thread.is_alive()
        if not is_busy and now - self._started >= _PERIOD_S:
            self._started = now
            self._thread = threading.Thread(target=self._take, name="gpu", daemon=True)
            self._thread.start()
        return self.newest

    @property
    def newest(self) -> GpuStats | None:
        """None where none were read in the last 5 s."""
        found = self._newest
        return found[1] if found is not None and self._clock() - found[0] <= _STALE_S else None

    def wait(self) -> None:
        """Until what is being read has been read."""
        if self._thread is not None:
            self._thread.join()

    def _take(self) -> None:
        self._newest = self._clock(), self._read()


def _scaled(value: Any, divisor: float) -> float | None:
    told = _told(value, _NO_UINT)
    return None if told is None else told / divisor


def _told(value: Any, nothing: int) -> int | None:
    return value if isinstance(value, int) and value != nothing else None
