"""Where figures were taken: the machine, the versions, the state of the tree."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

import emberd

__all__ = ["Neighbours", "describe_machine", "describe_versions", "spin_ms"]

_PACKAGES = ("lmdb", "msgpack", "msgspec", "numpy", "tokenizers", "uvloop")
_RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "torch", "sentence-transformers")


_SPINS, _SPIN_STEPS = 5, 200_000


def spin_ms() -> float:
    """The time of a fixed loop of Python, some milliseconds: the speed of one core at the moment.

    Virtual machines share their cores with others that nothing inside can see; taken before and
    after, it tells whether the machine was the same one all along.
    """
    found = []
    for _ in range(_SPINS):
        started = _clock()
        for _ in range(_SPIN_STEPS):
            pass
        found.append(_clock() - started)
    return 1e3 * sorted(found)[_SPINS // 2]


class Neighbours:
    """How much of the processors others took while something of ours ran."""

    def __init__(self) -> None:
        self._started = _clock()
        self._busy_s = _busy_s()
        self._ours_s = _ours_s()

    def share(self) -> float:
        """Of all cores, 0 to 1, since this was made. Call it when our child processes have ended
        and were waited for: only then are their times known."""
        wall_s = _clock() - self._started
        others_s = (_busy_s() - self._busy_s) - (_ours_s() - self._ours_s)
        return min(max(others_s / (wall_s * (os.cpu_count() or 1)), 0.0), 1.0)


def describe_machine() -> dict[str, Any]:
    """Processor, cores, memory, system and the load before the run, and the GPUs where there are
    any; nothing that names a person or a host."""
    found = {
        "processor": _processor(),
        "cores": len(psutil.Process().cpu_affinity()) if _is_linux() else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "load_average": [round(value, 2) for value in os.getloadavg()],
    }
    return {**found, "gpus": gpus} if (gpus := _gpus()) else found


def describe_versions() -> dict[str, str]:
    """Of Python, emberd (with its commit, where it is a checkout) and what it runs on."""
    found = {"python": platform.python_version(), "emberd": emberd.__version__}
    if commit := _commit():
        found["commit"] = commit
    for name in (*_PACKAGES, *_RUNTIMES):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _gpus() -> list[str]:
    """Name, driver and power limit of each NVIDIA GPU, in the driver's own words."""
    if (command := shutil.which("nvidia-smi")) is None:
        return []
    query = ["--query-gpu=name,driver_version,power.limit", "--format=csv,noheader"]
    found = subprocess.run([command, *query], capture_output=True, text=True, check=False)
    return [] if found.returncode else found.stdout.splitlines()


def _processor() -> str:
    if _is_linux():
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


_clock = time.perf_counter


def _busy_s() -> float:
    times = psutil.cpu_times()._asdict()
    # Linux counts a guest's time under `user` and `nice`, too.
    idle = {"idle", "iowait", "guest", "guest_nice"}
    return float(sum(seconds for name, seconds in times.items() if name not in idle))


def _ours_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _is_linux() -> bool:
    return sys.platform == "linux"


def _commit() -> str:
    """The short hash of HEAD, with a + where files differ from it; empty outside a checkout."""
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--exclude=*"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip()
