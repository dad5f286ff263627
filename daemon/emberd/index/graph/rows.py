"""What callers hand in, checked before it travels: a bad value must not reach the graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emberd.errors import InvalidParamsError

__all__ = ["checked_labels", "checked_number", "checked_vectors", "padded"]


def checked_vectors(values: ArrayLike, dim: int, field: str) -> NDArray[np.float32]:
    """`(n, dim) float32`, contiguous and finite. Raises InvalidParamsError."""
    try:
        vectors = np.ascontiguousarray(values, np.float32)
    except (TypeError, ValueError) as exc:
        raise _invalid(field, f"{field} must be numbers: {exc}.") from exc
    if vectors.ndim != 2 or vectors.shape[1] != dim:
        raise _invalid(field, f"{field} must have the shape (n, {dim}), not {vectors.shape}.")
    finite = np.isfinite(vectors)
    if not finite.all():
        row = int(np.flatnonzero(~finite.all(axis=1))[0])
        raise _invalid(field, f"{field}[{row}] holds a value that is no finite number.", index=row)
    return vectors


def checked_labels(values: ArrayLike, field: str, count: int | None = None) -> NDArray[np.uint64]:
    """`(n,) uint64`, each 1 or more and given once; `count` of them where that is given.

    Raises InvalidParamsError.
    """
    labels = np.asarray(values)
    if count is not None and labels.shape != (count,):
        raise _invalid(field, f"{field} must be {count}, one for each vector.")
    if not labels.size:
        return np.empty(0, np.uint64)
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or int(labels.min()) < 1:
        raise _invalid(field, f"{field} must be a row of whole numbers of 1 or more.")
    labels = np.ascontiguousarray(labels, np.uint64)
    if not (labels[1:] > labels[:-1]).all() and len(np.unique(labels)) != len(labels):
        raise _invalid(field, f"{field} must name each label once.")
    return labels


def checked_number(value: Any, field: str) -> int:
    """A whole number of 1 or more. Raises InvalidParamsError."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise _invalid(field, f"{field} must be a whole number of 1 or more, not {value!r}.")
    return int(min(value, 1 << 40))


def padded(
    parts: list[tuple[NDArray[np.uint64], NDArray[np.float32]]],
) -> tuple[NDArray[np.uint64], NDArray[np.float32]]:
    """Results of one search in one piece; missing ones are label 0 with the score -inf."""
    if len(parts) == 1:
        return parts[0]
    width = max(labels.shape[1] for labels, _ in parts)
    return (
        np.concatenate([_widened(labels, width, 0) for labels, _ in parts]),
        np.concatenate([_widened(scores, width, -np.inf) for _, scores in parts]),
    )


def _widened(rows: NDArray[Any], width: int, value: float) -> NDArray[Any]:
    return np.pad(rows, ((0, 0), (0, width - rows.shape[1])), constant_values=value)


def _invalid(field: str, message: str, **details: Any) -> InvalidParamsError:
    return InvalidParamsError(message, details={"field": field, **details})
