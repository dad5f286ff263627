"""Vectors on the wire: `{dtype, shape, data}`, little-endian, or plain lists of numbers.

| dtype | a number | a row of `dim` numbers |
|---|---|---|
| f32 | float32 | 4 dim bytes |
| f16 | float16, saturating at 65,504 | 2 dim bytes |
| i8 | int8 of value / scale | dim bytes, and its float32 `scale` = max / 127 in `scale` |
| bit | 1 for a value above 0 | ceil(dim / 8) bytes, first number in the highest bit |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NoReturn, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from emberd.errors import InvalidParamsError
from emberd.wire.halves import widened

__all__ = ["DTYPES", "Dtype", "decode_vectors", "encode_vectors", "vectors_to_lists"]

Dtype = Literal["f32", "f16", "i8", "bit"]
DTYPES: Final[tuple[str, ...]] = get_args(Dtype)

Vectors: TypeAlias = NDArray[np.float32]

_F16_MAX: Final = 65_504.0
_MAX_LEVEL: Final = 127.0
_NUMBER_BYTES: Final = {"f32": 4, "f16": 2, "i8": 1}
_MOST: Final = 0xFFFFFFFF
_HALF: Final = np.dtype("<f2")


def encode_vectors(vectors: Vectors, dtype: str = "f32") -> dict[str, Any]:
    """The map of a (n, dim) float32 array of finite numbers.

    Raises InvalidParamsError for another dtype. Errors of one number: none (f32), 2**-11 of it
    (f16), half its row's scale (i8); `bit` keeps signs only.
    """
    encode = _ENCODERS.get(dtype)
    if encode is None:
        _refuse_dtype(dtype)
    return {"dtype": dtype, "shape": list(vectors.shape), **encode(vectors)}


def vectors_to_lists(vectors: Vectors, dtype: str = "f32") -> list[list[float]]:
    """Rows as lists, with the values that the bin form of `dtype` would give."""
    if dtype != "f32":
        vectors = decode_vectors(encode_vectors(vectors, dtype))
    lists: list[list[float]] = vectors.tolist()
    return lists


def decode_vectors(value: object, out: Vectors | None = None) -> Vectors:
    """The (n, dim) float32 array, writable, of a map or of lists: `out` where that is one of this
    shape, else a new one.

    A `bit` row comes out as +-1 / sqrt(dim), so that its norm is 1. Raises InvalidParamsError
    where the parts do not fit each other.
    """
    if isinstance(value, list):
        return _put(_from_lists(value), out)
    if type(value) is not dict and not isinstance(value, Mapping):
        _refuse("vectors must be a map of dtype, shape and data, or a list of rows")
    return _from_map(value, out)


def _put(vectors: Vectors, out: Vectors | None) -> Vectors:
    if out is None or out.shape != vectors.shape:
        return vectors
    out[...] = vectors
    return out


def _from_map(value: Mapping[str, Any], out: Vectors | None) -> Vectors:
    rows, dim = _shape_of(value.get("shape"))
    dtype, data = value.get("dtype"), value.get("data")
    if dtype == "f16" and isinstance(data, bytes) and len(data) == 2 * rows * dim:
        return _decode_f16(data, rows, dim, out)  # as the Python clients ask for it
    if not isinstance(dtype, str) or dtype not in DTYPES:
        _refuse_dtype(dtype)
    if not isinstance(data, bytes):
        _refuse("data must be bin", "data")
    expected = rows * _row_bytes(dtype, dim)
    if len(data) != expected:
        _refuse(
            f"data has {len(data)} bytes; {dtype} of shape [{rows}, {dim}] takes {expected}", "data"
        )
    return _put(_DECODERS[dtype](data, rows, dim, value), out)


def _shape_of(shape: object) -> tuple[int, int]:
    rows, dim = shape if isinstance(shape, list) and len(shape) == 2 else (None, None)
    if not (type(rows) is int and type(dim) is int and 0 <= rows <= _MOST and 0 <= dim <= _MOST):
        _refuse("shape must be [rows, dim] in whole numbers", "shape")
    return rows, dim


def _row_bytes(dtype: str, dim: int) -> int:
    return (dim + 7) // 8 if dtype == "bit" else dim * _NUMBER_BYTES[dtype]


def _from_lists(rows: list[Any]) -> Vectors:
    widths = {len(row) if isinstance(row, list) else -1 for row in rows}
    if len(widths) > 1 or -1 in widths:
        _refuse("rows must be lists of one length")
    if not all(type(number) in {float, int} for row in rows for number in row):
        _refuse("a row may hold numbers only")
    try:
        with np.errstate(over="ignore"):
            array = np.array(rows, dtype=np.float32)
    except OverflowError:
        _refuse("a number is too large for float32")
    return array.reshape(len(rows), widths.pop() if widths else 0)


def _encode_f32(vectors: Vectors) -> dict[str, Any]:
    return {"data": vectors.astype("<f4", copy=False).tobytes()}


def _encode_f16(vectors: Vectors) -> dict[str, Any]:
    return {"data": np.clip(vectors, -_F16_MAX, _F16_MAX).astype("<f2").tobytes()}


def _encode_i8(vectors: Vectors) -> dict[str, Any]:
    scale = np.abs(vectors).max(axis=1, initial=0.0) / np.float32(_MAX_LEVEL)
    safe = np.where(scale > 0, scale, 1)[:, None]
    levels = np.clip(np.rint(vectors / safe), -_MAX_LEVEL, _MAX_LEVEL).astype(np.int8)
    return {"data": levels.tobytes(), "scale": scale.astype("<f4").tobytes()}


def _encode_bit(vectors: Vectors) -> dict[str, Any]:
    return {"data": np.packbits(vectors > 0, axis=1).tobytes()}


def _decode_f32(data: bytes, rows: int, dim: int, value: Mapping[str, Any]) -> Vectors:
    return np.frombuffer(data, "<f4").reshape(rows, dim).astype(np.float32)


def _decode_f16(data: bytes, rows: int, dim: int, out: Vectors | None) -> Vectors:
    halves = np.ndarray((rows, dim), _HALF, data)
    return widened(halves, out if out is not None and out.shape == (rows, dim) else None)


def _decode_i8(data: bytes, rows: int, dim: int, value: Mapping[str, Any]) -> Vectors:
    scale = value.get("scale")
    if not isinstance(scale, bytes) or len(scale) != 4 * rows:
        _refuse("i8 needs scale: bin, one float32 a row", "scale")
    scales = np.frombuffer(scale, "<f4").astype(np.float32)
    if not np.isfinite(scales).all():
        _refuse("a scale is not finite", "scale")
    levels = np.frombuffer(data, np.int8).reshape(rows, dim)
    return levels * scales[:, None]


def _decode_bit(data: bytes, rows: int, dim: int, value: Mapping[str, Any]) -> Vectors:
    if not rows or not dim:
        return np.zeros((rows, dim), np.float32)
    packed = np.frombuffer(data, np.uint8).reshape(rows, -1)
    bits = np.unpackbits(packed, axis=1, count=dim)
    level = np.float32(1 / math.sqrt(dim))
    return np.where(bits, level, -level)


_ENCODERS: Final[dict[str, Callable[[Vectors], dict[str, Any]]]] = {
    "f32": _encode_f32,
    "f16": _encode_f16,
    "i8": _encode_i8,
    "bit": _encode_bit,
}
_DECODERS: Final[dict[str, Callable[[bytes, int, int, Mapping[str, Any]], Vectors]]] = {
    "f32": _decode_f32,
    "i8": _decode_i8,
    "bit": _decode_bit,
}


def _refuse_dtype(dtype: object) -> NoReturn:
    raise InvalidParamsError(
        f"dtype must be one of {', '.join(DTYPES)}, and not {dtype!r}.", details={"field": "dtype"}
    )


def _refuse(what: str, field: str = "vectors") -> NoReturn:
    raise InvalidParamsError(f"Not a set of vectors: {what}.", details={"field": field})
