"""The check of a built model before it may enter the store: run it, and look at the numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from emberd.errors import ModelInvalidError
from emberd.models.info import GRAPH_FILE, TOKENIZER_FILE, ModelInfo
from emberd.models.running import (
    FloatArray,
    Ids,
    embed_rows,
    open_graph,
    takes_mask,
    token_ids,
)

__all__ = ["check_model", "measure_dim"]

_TEXTS = (
    "a",
    "A quick check that short and long texts agree.",
    "The same text must give the same vector, alone or beside longer ones. " * 4,
)
# Fills the window, so that the last position is used; longer windows cost too much here.
_LONG_TEXT = "window " * 4_096
_LONGEST = 2_048
# Float32 agrees to 1e-6. Exports that quantise activations a batch at a time do not get here,
# and must not: their vectors would depend on who else asks.
_LEAST_COSINE = 0.9999


def check_model(folder: Path, info: ModelInfo) -> None:
    """Embed a few texts with the folder's graph and tokenizer on the CPU.

    Raises ModelInvalidError when the graph does not load or run, or gives another width, numbers
    that are not finite, rows that are not of norm 1, or other vectors in a batch than alone.
    """
    try:
        longest_ids = min(info.max_tokens, _LONGEST)
        *ids, long = token_ids(folder / TOKENIZER_FILE, [*_TEXTS, _LONG_TEXT], longest_ids)
        session = open_graph(folder / GRAPH_FILE, info.family)
        together = _embed_together(session, ids)
        alone = np.concatenate([embed_rows(session, [row]) for row in ids])
        longest = embed_rows(session, [long])
    except Exception as exc:  # whatever the runtime raises, the model cannot be used
        raise _invalid(info, f"it does not run ({str(exc).splitlines()[0]})") from exc
    for vectors in (together, alone, longest):
        _check_vectors(vectors, info)
    cosine = float((together * alone).sum(axis=1).min())
    if cosine < _LEAST_COSINE:
        raise _invalid(
            info,
            f"a text gives another vector in a padded batch (cosine {cosine:.4f}). It may be "
            "quantised, or ignore its attention mask; use an export in float32",
        )


def measure_dim(folder: Path) -> int:
    """The width of the vectors of a graph that does not say it; raises ModelInvalidError."""
    try:
        return int(embed_rows(open_graph(folder / GRAPH_FILE, "onnx"), [[0]]).shape[-1])
    except Exception as exc:  # whatever the runtime raises, the model cannot be used
        raise ModelInvalidError(
            f"The ONNX export does not run ({str(exc).splitlines()[0]}). Export it again.",
        ) from exc


def _embed_together(session: Any, ids: Ids) -> FloatArray:
    """In one padded batch; where a graph takes no padding, each beside its like."""
    if takes_mask(session):
        return embed_rows(session, ids)
    return np.concatenate([embed_rows(session, [row, row])[:1] for row in ids])


def _check_vectors(vectors: FloatArray, info: ModelInfo) -> None:
    if vectors.ndim != 2 or vectors.shape[1] != info.dim:
        raise _invalid(info, f"its output is {list(vectors.shape)}, not [batch, {info.dim}]")
    if not np.isfinite(vectors).all():
        raise _invalid(info, "its output has numbers that are not finite")
    if np.abs(np.linalg.norm(vectors, axis=1) - 1.0).max() > 1e-3:
        raise _invalid(info, "its vectors are not of norm 1")


def _invalid(info: ModelInfo, why: str) -> ModelInvalidError:
    return ModelInvalidError(
        f"The model {info.name} failed its check: {why}. It was not installed.",
        details={"model": info.name},
    )
