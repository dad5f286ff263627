"""Results as JSON: everything that one needs to judge a figure, or to take it again."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.benchmark import Result
from bench.figures import Figure
from bench.machine import describe_machine, describe_versions

__all__ = ["Record", "plain_figure"]

_VERSION = 1


class Record:
    """Made before the first benchmark, so that the machine's load is that of others."""

    def __init__(self, command: Sequence[str], options: dict[str, Any]) -> None:
        self._head = {
            "version": _VERSION,
            "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "command": " ".join(command),
            "options": options,
            "machine": describe_machine(),
            "versions": describe_versions(),
        }

    def write(self, path: Path, results: Sequence[Result]) -> None:
        """Write the results and how they came about."""
        found = [
            {
                "benchmark": result.name,
                "seconds": round(result.seconds, 1),
                "others": round(result.others, 3),
                "spin_ms": [_rounded(each) for each in result.spin_ms],
                "figures": [plain_figure(figure) for figure in result.figures],
            }
            for result in results
        ]
        path.write_text(json.dumps({**self._head, "results": found}, indent=2) + "\n")


def plain_figure(figure: Figure) -> dict[str, Any]:
    """A figure as plain data, its samples included."""
    plain: dict[str, Any] = {
        "figure": figure.name,
        "unit": figure.unit,
        "summary": figure.summary,
        "value": _rounded(figure.value),
        "spread": [_rounded(value) for value in figure.spread],
        "samples": [_rounded(value) for value in figure.samples],
    }
    if figure.bar is not None:
        plain |= {"bar": {figure.bar.kind: figure.bar.limit}, "met": figure.is_met}
    return plain


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")
