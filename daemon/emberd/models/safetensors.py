"""Reading and writing safetensors files: a JSON header, then raw little-endian tensors.

Format: https://github.com/huggingface/safetensors#format. The reader trusts nothing: every offset
is checked against the file before a tensor is touched.
"""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from emberd.errors import ModelInvalidError

__all__ = ["SafeTensors", "TensorSlot", "write_safetensors"]

_MAX_HEADER_BYTES = 100 << 20  # the format's own limit
_ITEM_BYTES = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8, "I64": 8, "I32": 4, "U8": 1, "I8": 1}
_WRITTEN = {"F32": "<f4", "I8": "i1", "U8": "u1"}
_FLOATS = {"F32": "<f4", "F16": "<f2", "F64": "<f8"}
# ONNX Runtime maps weights from the file; tensors at cache lines stay aligned there.
_ALIGNMENT = 64

FloatArray = npt.NDArray[np.float32]
AnyArray = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class TensorSlot:
    """Where a tensor lies: `offset` counts from the start of the file, in bytes."""

    dtype: str
    shape: tuple[int, ...]
    offset: int
    size: int


class SafeTensors:
    """A safetensors file, mapped into memory; close it, or use it as a context manager."""

    def __init__(self, path: Path) -> None:
        """Raises ModelInvalidError when the file is not what the format says."""
        self.path = path
        with path.open("rb") as file:
            length = file.seek(0, 2)
            if length < 8:
                raise _invalid(path, "it is shorter than a header")
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            self.slots = dict(_read_slots(path, self._map))
        except BaseException:
            self._map.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the mapping; tensors read before stay valid, they are copies."""
        self._map.close()

    def floats(self, name: str) -> FloatArray:
        """The tensor as a float32 copy; raises ModelInvalidError when it is no float tensor."""
        slot = self.slots.get(name)
        if slot is None:
            raise _invalid(self.path, f"the tensor {name!r} is missing")
        raw = self._map[slot.offset : slot.offset + slot.size]
        if slot.dtype == "BF16":  # the upper half of a float32
            wide = np.frombuffer(raw, "<u2").astype("<u4") << np.uint32(16)
            return wide.view("<f4").reshape(slot.shape)
        if slot.dtype not in _FLOATS:
            raise _invalid(self.path, f"the tensor {name!r} is {slot.dtype}, not floating point")
        return np.frombuffer(raw, _FLOATS[slot.dtype]).astype("<f4").reshape(slot.shape)


def write_safetensors(
    path: Path,
    tensors: Mapping[str, tuple[int, ...]],
    read: Callable[[str], AnyArray],
    dtypes: Mapping[str, str] | None = None,
) -> None:
    """Write `tensors` (name -> shape), sorted by name, one in memory at a time.

    They are float32 (`F32`) where `dtypes` does not say `I8` or `U8`. The same tensors always
    give the same bytes.
    """
    header: dict[str, Any] = {}
    dtypes = dtypes or {}
    offset = 0
    for name in sorted(tensors):
        dtype = dtypes.get(name, "F32")
        size = _ITEM_BYTES[dtype] * math.prod(tensors[name])
        header[name] = {
            "dtype": dtype,
            "shape": list(tensors[name]),
            "data_offsets": [offset, offset + size],
        }
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % _ALIGNMENT)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in sorted(tensors):
            file.write(read(name).astype(_WRITTEN[dtypes.get(name, "F32")], "C").tobytes())


def _read_slots(path: Path, data: mmap.mmap) -> Iterator[tuple[str, TensorSlot]]:
    length = int.from_bytes(data[:8], "little")
    start = 8 + length
    if length > _MAX_HEADER_BYTES or start > len(data):
        raise _invalid(path, "its header is longer than the file")
    try:
        header = json.loads(data[8:start])
        entries = [(n, e) for n, e in header.items() if n != "__metadata__"]
        for name, entry in entries:
            yield name, _slot(path, name, entry, start, len(data))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as exc:
        raise _invalid(path, f"its header cannot be read ({exc})") from exc


def _slot(path: Path, name: str, entry: Any, start: int, length: int) -> TensorSlot:
    dtype, shape = entry["dtype"], tuple(int(n) for n in entry["shape"])
    begin, end = (int(n) for n in entry["data_offsets"])
    item = _ITEM_BYTES.get(dtype)
    if item is None:
        return TensorSlot(dtype, shape, start + begin, 0)  # of no use to us, so not read
    is_inside = 0 <= begin <= end and start + end <= length
    if not is_inside or min(shape, default=0) < 0 or math.prod(shape) * item != end - begin:
        raise _invalid(path, f"the tensor {name!r} does not lie where its header says")
    return TensorSlot(dtype, shape, start + begin, end - begin)


def _invalid(path: Path, why: str) -> ModelInvalidError:
    return ModelInvalidError(
        f"{path.name} is not a usable safetensors file: {why}. Download the model again.",
        details={"path": str(path)},
    )
