"""com.microsoft's operators in numpy, as their documentation says them: no kernel for a CPU exists
of the packed ones, so this is what their graphs are run with."""

from __future__ import annotations

from itertools import pairwise
from math import erf, sqrt
from typing import Any

import numpy as np
from onnx.reference.op_run import OpRun

__all__ = ["MICROSOFT_OPERATORS"]


class _Operator(OpRun):
    op_domain = "com.microsoft"


class RemovePadding(_Operator):
    """Tokens of all rows one after another; where each came from (tokens first, then padding);
    where each row's tokens begin; the longest row."""

    def _run(self, rows: np.ndarray, lengths: np.ndarray, **_: Any) -> tuple[np.ndarray, ...]:
        is_token = (np.arange(rows.shape[1]) < lengths[:, None]).ravel()
        places = np.concatenate([np.flatnonzero(is_token), np.flatnonzero(~is_token)])
        starts = np.concatenate([[0], np.cumsum(lengths)])
        flat = rows.reshape(-1, rows.shape[2])[is_token]
        placed = places.astype(np.int32).reshape(rows.shape[:2])
        return flat, placed, starts.astype(np.int32), np.array([lengths.max()], np.int32)


class RestorePadding(_Operator):
    def _run(self, tokens: np.ndarray, places: np.ndarray, **_: Any) -> tuple[np.ndarray]:
        rows = np.zeros((places.size, tokens.shape[1]), tokens.dtype)
        rows[places.ravel()[: len(tokens)]] = tokens
        return (rows.reshape(*places.shape, -1),)


class PackedMultiHeadAttention(_Operator):
    """Each row's tokens attend to that row's tokens alone."""

    def _run(
        self,
        query: np.ndarray,
        key: np.ndarray,
        value: np.ndarray,
        bias: None,
        places: np.ndarray,
        starts: np.ndarray,
        num_heads: int | None = None,
        scale: float | None = None,
        **_: Any,
    ) -> tuple[np.ndarray]:
        assert places.shape[0] + 1 == len(starts)
        context = np.empty_like(query)
        for begin, end in pairwise(starts):
            by_head = [
                part[begin:end].reshape(end - begin, num_heads, -1).swapaxes(0, 1)
                for part in (query, key, value)
            ]
            scores = by_head[0] @ by_head[1].swapaxes(1, 2) * scale
            shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
            shares /= shares.sum(axis=-1, keepdims=True)
            context[begin:end] = (shares @ by_head[2]).swapaxes(0, 1).reshape(end - begin, -1)
        return (context,)


class SkipLayerNormalization(_Operator):
    def _run(
        self,
        rows: np.ndarray,
        skip: np.ndarray,
        scale: np.ndarray,
        shift: np.ndarray,
        bias: np.ndarray | None = None,
        epsilon: float | None = None,
        **_: Any,
    ) -> tuple[np.ndarray]:
        summed = rows + skip + (0 if bias is None else bias)
        centred = summed - summed.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + epsilon)
        return ((centred / deviation * scale + shift).astype(rows.dtype),)


class BiasGelu(_Operator):
    def _run(self, rows: np.ndarray, bias: np.ndarray, **_: Any) -> tuple[np.ndarray]:
        return (_gelu(rows + bias),)


class FastGelu(_Operator):
    def _run(self, rows: np.ndarray, bias: np.ndarray, **_: Any) -> tuple[np.ndarray]:
        x = rows + bias
        inner = np.float32(np.sqrt(2 / np.pi)) * (x + np.float32(0.044715) * x**3)
        return ((x * (1 + np.tanh(inner)) / 2).astype(rows.dtype),)


def _gelu(x: np.ndarray) -> np.ndarray:
    found: np.ndarray = x * (1 + np.vectorize(erf)(x / sqrt(2))) / 2
    return found.astype(x.dtype)


MICROSOFT_OPERATORS = [
    RemovePadding,
    RestorePadding,
    PackedMultiHeadAttention,
    SkipLayerNormalization,
    BiasGelu,
    FastGelu,
]
