"""OpenVINO, which this module alone imports."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

# Importing OpenVINO would tell its makers of it. What is None cannot be imported, and OpenVINO goes
# on without.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

try:
    import openvino
    from openvino import opset13 as ops
except ModuleNotFoundError as exc:
    raise ImportError(
        "The openvino plugin needs OpenVINO, which is not installed: "
        "pip install 'emberd[openvino]'."
    ) from exc

__all__ = ["compiled", "openvino", "ops"]

# Kernels that are kept, of every shape of batch that was run. At OpenVINO's 5,000 the process was
# 450 MB larger after 800 shapes, and still growing; at 500 it stayed at 270 MB, for 3% of the rate.
_KERNELS = 1_000


@cache
def _core() -> Any:
    """One for all models: each holds the CPU plugin's own memory."""
    return openvino.Core()


def compiled(model: Any, threads: int, kept: Path) -> Any:
    """The model for the CPU in bfloat16: `threads` streams of one thread each, which is more than
    one stream on all of them. What was compiled is kept in the folder `kept`."""
    options: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": "bf16",
        "NUM_STREAMS": threads,
        "INFERENCE_NUM_THREADS": threads,
        "CPU_RUNTIME_CACHE_CAPACITY": _KERNELS,
        "CACHE_DIR": str(kept),
    }
    return _core().compile_model(model, "CPU", options)
