"""Values: a vector, its token count and whether its text was cut, as bytes.

`dim` little-endian floats (f16 or f32), then one little-endian uint32: `tokens | truncated << 31`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from emberd.wire.halves import widened

__all__ = [
    "MAX_TOKENS",
    "Dtype",
    "cut_dimensions",
    "kept_values",
    "pack_values",
    "round_like",
    "unpack_value",
    "unpack_values",
    "value_size",
]

Dtype = Literal["f16", "f32"]

MAX_TOKENS = (1 << 31) - 1

_FLOATS: dict[Dtype, np.dtype[Any]] = {"f16": np.dtype("<f2"), "f32": np.dtype("<f4")}
_TAIL_BYTES = 4
_TRUNCATED = np.uint32(1 << 31)


def value_size(dim: int, dtype: Dtype) -> int:
    """Length of a value in bytes; one of another length is corrupt and must not be unpacked."""
    return dim * _FLOATS[dtype].itemsize + _TAIL_BYTES


def round_like(vectors: NDArray[np.float32], dtype: Dtype) -> NDArray[np.float32]:
    """The vectors as they would come back from the cache, so that hit and miss give equal bytes."""
    rounded: NDArray[np.float32] = vectors.astype(_FLOATS[dtype]).astype(np.float32)
    return rounded


def pack_values(
    vectors: NDArray[np.float32],
    tokens: Sequence[int] | NDArray[np.uint32],
    truncated: Sequence[bool] | NDArray[np.bool_],
    dtype: Dtype,
) -> list[bytes]:
    """One value a row of `vectors`, (n, dim) float32; `tokens` and `truncated` have n entries."""
    count, dim = vectors.shape
    rows = np.empty(count, _row(dim, dtype))
    rows["vector"] = vectors
    rows["tail"] = np.asarray(tokens, np.uint32)
    rows["tail"] |= np.where(np.asarray(truncated, np.bool_), _TRUNCATED, np.uint32(0))
    size = rows.itemsize
    joined = rows.tobytes()
    return [joined[start : start + size] for start in range(0, len(joined), size)]


def unpack_values(
    values: Sequence[bytes], dim: int, dtype: Dtype
) -> tuple[NDArray[np.float32], NDArray[np.uint32], NDArray[np.bool_]]:
    """Vectors (n, dim) float32, tokens (n,) uint32, truncated (n,) bool.

    Raises ValueError unless every value is `value_size(dim, dtype)` long.
    """
    size = value_size(dim, dtype)
    if set(map(len, values)) - {size}:
        raise ValueError(f"a cached value is not {size} bytes long")
    rows = np.frombuffer(b"".join(values), _row(dim, dtype))
    tails = rows["tail"]
    vectors = rows["vector"]
    wide = widened(vectors) if dtype == "f16" else vectors.astype(np.float32)
    return wide, tails & np.uint32(MAX_TOKENS), (tails & _TRUNCATED) != 0


def kept_values(values: Sequence[bytes], dim: int, dtype: Dtype) -> tuple[bytes, int, list[int]]:
    """The numbers of the vectors as they are kept, row after row; tokens of all; the indexes of
    truncated ones. For values of the right length: raises ValueError where they do not add up to
    so many rows."""
    joined = b"".join(values) if len(values) != 1 else values[0]
    if len(joined) != len(values) * value_size(dim, dtype):
        raise ValueError(f"a cached value is not {value_size(dim, dtype)} bytes long")
    if len(values) == 1:
        tail = int.from_bytes(joined[-_TAIL_BYTES:], "little")
        return joined[:-_TAIL_BYTES], tail & MAX_TOKENS, [0] if tail > MAX_TOKENS else []
    rows = np.frombuffer(joined, _row(dim, dtype))
    tails = rows["tail"]
    tokens, cut = int(np.add.reduce(tails, dtype=np.int64)), []
    if tokens > MAX_TOKENS:  # else no text is marked
        tokens = int(np.add.reduce(tails & np.uint32(MAX_TOKENS), dtype=np.int64))
        cut = np.flatnonzero(tails & _TRUNCATED).tolist()
    return rows["vector"].tobytes(), tokens, cut


def unpack_value(value: bytes, dim: int, dtype: Dtype) -> tuple[NDArray[np.float32], int, bool]:
    """One value, at a fifth of the cost of a batch of one: vector (dim,) float32, tokens, and
    whether the text was truncated. Raises ValueError for another length."""
    if len(value) != value_size(dim, dtype):
        raise ValueError(f"a cached value is not {value_size(dim, dtype)} bytes long")
    tail = int.from_bytes(value[-_TAIL_BYTES:], "little")
    vector = np.frombuffer(value, _FLOATS[dtype], dim).astype(np.float32)
    return vector, tail & MAX_TOKENS, tail > MAX_TOKENS


def cut_dimensions(vectors: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    """The first `dimensions` of each row, normalised again; a zero row stays zero."""
    cut = vectors[:, :dimensions]
    norms = np.linalg.norm(cut, axis=1, keepdims=True)
    return np.ascontiguousarray(cut / np.where(norms == 0, 1, norms), dtype=np.float32)


@lru_cache(maxsize=64)
def _row(dim: int, dtype: Dtype) -> np.dtype[np.void]:
    return np.dtype([("vector", _FLOATS[dtype], (dim,)), ("tail", "<u4")])
