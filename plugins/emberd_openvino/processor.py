"""Whether the CPU computes in bfloat16: elsewhere OpenVINO is no faster than emberd itself."""

from __future__ import annotations

from pathlib import Path

__all__ = ["BF16_FLAGS", "computes_in_bf16"]

BF16_FLAGS = ("amx_bf16", "avx512_bf16")
_CPUINFO = Path("/proc/cpuinfo")


def computes_in_bf16(cpuinfo: Path = _CPUINFO) -> bool:
    """Whether Linux names one of these instruction sets; False where there is no such file."""
    try:
        text = cpuinfo.read_text("utf-8", "replace")
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return not set(BF16_FLAGS).isdisjoint(flags.split())
