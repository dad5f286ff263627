"""How close a quantised model comes to the exact one, and whether that is close enough."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from emberd.errors import ModelInvalidError
from emberd.models.info import GRAPH_FILE, Accuracy, Floor, StoredModel
from emberd.models.progress import Watch
from emberd.models.running import FloatArray, Ids, embed_rows, open_graph

__all__ = ["measure_accuracy", "refuse_inaccurate"]


def measure_accuracy(exact: StoredModel, folder: Path, ids: Ids, watch: Watch) -> Accuracy:
    """Embed texts, given as token ids, with both models in turns, each on one core."""
    sessions = [open_graph(path, "bert") for path in (exact.graph, folder / GRAPH_FILE)]
    cosines = []
    seconds = [0.0, 0.0]
    for done, row in enumerate(ids, 1):
        vectors = []
        for which, session in enumerate(sessions):
            vector, took_s = _timed(session, row)
            vectors.append(vector)
            seconds[which] += took_s
        cosines.append(_cosine(*vectors))
        watch.report("measure", exact.info.name, done, len(ids))
    return Accuracy(
        mean_cosine=_rounded_down(float(np.mean(cosines))),
        least_cosine=_rounded_down(min(cosines)),
        texts=len(ids),
        speedup=round(seconds[0] / seconds[1], 2),
    )


def refuse_inaccurate(name: str, found: Accuracy, floor: Floor) -> None:
    """Raise ModelInvalidError, with the figures, where a cosine is under its floor."""
    if found.mean_cosine >= floor.mean and found.least_cosine >= floor.least:
        return
    raise ModelInvalidError(
        f"{name} is not close enough to the exact model: over {found.texts} texts its cosine to it "
        f"is {found.mean_cosine:.4f} in the mean and {found.least_cosine:.4f} at least, and "
        f"{floor.mean:g} and {floor.least:g} are asked for. It was not installed; use the exact "
        "model, or lower the floor with --mean-cosine and --least-cosine.",
        details={
            "model": name,
            "mean_cosine": found.mean_cosine,
            "least_cosine": found.least_cosine,
            "floor_mean": floor.mean,
            "floor_least": floor.least,
            "texts": found.texts,
        },
    )


def _rounded_down(cosine: float) -> float:
    """To six digits: no figure lifts a model over its floor."""
    return math.floor(cosine * 1e6) / 1e6


def _timed(session: Any, row: list[int]) -> tuple[FloatArray, float]:
    started = time.perf_counter()
    vector = embed_rows(session, [row])[0]
    return vector, time.perf_counter() - started


def _cosine(a: FloatArray, b: FloatArray) -> float:
    left, right = a.astype(np.float64), b.astype(np.float64)
    norms = float(np.linalg.norm(left)) * float(np.linalg.norm(right))
    return float(left @ right) / max(norms, 1e-12)
