"""Rounding weights to int8 so that the layer's output suffers least.

Frantar et al. 2022 (GPTQ): the input channels are rounded one after another, and what a rounding
adds to the output is taken back by the channels that are still to come, as far as the inputs that
were seen go together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["error_factor", "quantise_weight", "rounded_weight"]

FloatArray = npt.NDArray[np.float32]
Int8Array = npt.NDArray[np.int8]

_STEPS = 127
# A share of the inputs' mean variance that is added to each channel: less trusts few rows too far.
_DAMPING = 0.05
_BLOCK = 64
_NOTHING = 1e-30  # of a scale this small float32 would have no digits left


def quantise_weight(weight: FloatArray) -> tuple[Int8Array, FloatArray]:
    """Weights (out, in) as int8 and the scale (out,) of each output channel.

    Symmetric: `int8 * scale` is off by half a scale at most. A row of (next to) zeros has scale 1.
    """
    largest = np.abs(weight).max(axis=1)
    scale = np.where(largest > _NOTHING, largest / _STEPS, 1).astype(np.float32)
    return _steps(weight, scale[:, None]), scale


def error_factor(inputs: FloatArray) -> FloatArray:
    """How the errors of channels go together in `inputs` (n, in): U (in, in), upper triangular,
    with the inverse of the inputs' covariance = U^T U."""
    centred = (inputs - inputs.mean(axis=0)).astype(np.float32)
    covariance = (centred.T @ centred).astype(np.float64) / len(inputs)
    variance = np.trace(covariance) / len(covariance)
    covariance[np.diag_indices_from(covariance)] += _DAMPING * variance + 1e-12
    factor: npt.NDArray[Any] = np.linalg.cholesky(np.linalg.inv(covariance)).T
    return np.ascontiguousarray(factor, np.float32)


def rounded_weight(weight: FloatArray, factor: FloatArray) -> tuple[Int8Array, FloatArray]:
    """Like `quantise_weight`, with each rounding made good by later channels (`error_factor`).

    Whole blocks of channels are made good at once, which is the same and a matrix product.
    """
    _, scale = quantise_weight(weight)
    left = weight.astype(np.float32).T.copy()  # (in, out): a channel is one row
    rounded = np.empty(left.shape, np.int8)
    for start in range(0, len(left), _BLOCK):
        stop = min(start + _BLOCK, len(left))
        errors = np.empty((stop - start, left.shape[1]), np.float32)
        for at in range(start, stop):
            rounded[at] = _steps(left[at], scale)
            errors[at - start] = (left[at] - rounded[at] * scale) / factor[at, at]
            left[at + 1 : stop] -= factor[at, at + 1 : stop, None] * errors[at - start]
        left[stop:] -= factor[start:stop, stop:].T @ errors
    return np.ascontiguousarray(rounded.T), scale


def _steps(weight: FloatArray, scale: FloatArray) -> Int8Array:
    steps: Int8Array = np.clip(np.rint(weight / scale), -_STEPS, _STEPS).astype(np.int8)
    return steps
