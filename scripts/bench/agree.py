"""Alternatives may only be compared once they give the same vectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["DisagreementError", "check_agreement", "least_cosine"]

# Vectors of the cache are rounded to float16, which moves them by 1e-7 in cosine.
_LEAST = 0.9999


class DisagreementError(Exception):
    """The alternatives compute different things, so their times mean nothing."""


def least_cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """The cosine of the worst pair of rows of two `(n, dim)` arrays."""
    left, right = a.astype(np.float64), b.astype(np.float64)
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return float(((left * right).sum(axis=1) / np.where(norms == 0, 1, norms)).min())


def check_agreement(
    a: NDArray[np.float32], b: NDArray[np.float32], *, least: float = _LEAST
) -> None:
    """Raises DisagreementError where shapes differ or a pair of rows is not alike."""
    if a.shape != b.shape:
        raise DisagreementError(f"one alternative gives {a.shape}, the other {b.shape}")
    cosine = least_cosine(a, b)
    if not cosine >= least:
        raise DisagreementError(f"vectors of the same text have a cosine of {cosine:.6f} only")
