"""Checks of the processor and the memory."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path

from emberd.cli.checks.finding import Finding, fail, ok, warn
from emberd.cli.checks.software import package_version
from emberd.cli.context import App
from emberd.cli.printing import plural, size
from emberd.errors import EmberdError

__all__ = [
    "check_cpu",
    "check_memory",
    "check_openvino",
    "cpu_finding",
    "instruction_sets",
    "openvino_finding",
]

_SETS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX VNNI",
    "avx512_bf16": "AVX-512 BF16",
    "amx_int8": "AMX int8",
    "amx_bf16": "AMX bf16",
    "asimd": "NEON",
    "asimddp": "NEON dot product",
    "i8mm": "int8 matmul",
    "bf16": "bf16",
    "sve": "SVE",
}
_LITTLE_MEMORY_BYTES = 2 << 30


def instruction_sets(cpuinfo: str) -> list[str]:
    """The sets that matter to the kernels, of the text of /proc/cpuinfo."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            flags = set(value.split())
            return [text for flag, text in _SETS.items() if flag in flags]
    return []


def cpu_finding(machine: str, cores: int, sets: list[str]) -> Finding:
    """Whether the processor has what ONNX Runtime's fast kernels need."""
    what = f"{machine}, {plural(cores, 'core')}{': ' + ', '.join(sets) if sets else ''}"
    if machine in ("x86_64", "AMD64") and "AVX2" not in sets:
        return warn("cpu", f"{what}; no AVX2", "Expect a tenth of the usual rate on this machine.")
    return ok("cpu", what)


def check_cpu(_app: App) -> Iterator[Finding]:
    file = Path("/proc/cpuinfo")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if file.exists():
        sets = instruction_sets(file.read_text("utf-8", "replace"))
        yield cpu_finding(platform.machine(), cores or 1, sets)
    else:
        yield ok("cpu", f"{platform.machine()}, {plural(cores or 1, 'core')}")


def openvino_finding(*, sets: list[str], is_installed: bool, is_used: bool) -> Finding | None:
    """Whether OpenVINO is of use here, or would be; None where there is nothing to say."""
    can = bool({"AVX-512 BF16", "AMX bf16"} & set(sets))
    setting = 'models.embedder = "openvino"'
    if is_used and not can:
        message = "in use, but this CPU computes in bf16 neither with AMX nor with AVX-512"
        return warn("openvino", message, f"Take {setting} and [plugin.openvino] out.")
    if is_used and not is_installed:
        advice = "python -m pip install 'emberd[openvino]' && emberd restart"
        return fail("openvino", "asked for by the settings and not installed", advice)
    if is_used:
        return ok("openvino", "in use, in bf16")
    if can:
        install = "" if is_installed else "pip install 'emberd[openvino]' and "
        return ok("openvino", f"this CPU computes in bf16: quicker with {install}{setting}")
    if is_installed:
        return ok("openvino", "installed, but of no use: this CPU has neither AMX nor AVX-512 BF16")
    return None


def check_openvino(app: App) -> Iterator[Finding]:
    file = Path("/proc/cpuinfo")
    sets = instruction_sets(file.read_text("utf-8", "replace")) if file.exists() else []
    try:
        settings = app.settings
    except EmberdError:
        return  # the check of the settings says why
    finding = openvino_finding(
        sets=sets,
        is_installed=package_version("openvino") is not None,
        is_used=settings.models.embedder == "openvino" or "openvino" in settings.plugin,
    )
    if finding is not None:
        yield finding


def check_memory(_app: App) -> Iterator[Finding]:
    import psutil  # noqa: PLC0415  # 15 ms that only this check needs

    memory = psutil.virtual_memory()
    what = f"{size(memory.available)} free of {size(memory.total)}"
    if memory.available < _LITTLE_MEMORY_BYTES:
        yield warn("memory", what, "Lower cache.memory_mib, or close something.")
    else:
        yield ok("memory", what)
