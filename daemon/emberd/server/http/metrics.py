"""Prometheus' text exposition format, version 0.0.4. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from emberd.wire.snapshot import Snapshot

__all__ = ["CONTENT_TYPE", "Family", "Samples", "render"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Samples: TypeAlias = Iterable[tuple[Mapping[str, str], float]]
"""`(labels, value)` of each series of a metric."""

_HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})
_LABEL_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its name without the prefix `emberd_`, and where the snapshot has it."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    samples: Callable[[Snapshot], Samples]


def render(families: Iterable[Family], snapshot: Snapshot) -> str:
    """The metrics of a snapshot. A metric without a series keeps its HELP and TYPE."""
    lines: list[str] = []
    for family in families:
        name = f"emberd_{family.name}"
        lines.append(f"# HELP {name} {family.help.translate(_HELP_ESCAPES)}")
        lines.append(f"# TYPE {name} {family.kind}")
        lines += [
            f"{name}{_labels(labels)} {_number(value)}"
            for labels, value in family.samples(snapshot)
        ]
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    pairs = (f'{key}="{value.translate(_LABEL_ESCAPES)}"' for key, value in labels.items())
    return f"{{{','.join(pairs)}}}"


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(int(value)) if isinstance(value, int) else repr(value)
    return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")
