"""What travels between the daemon and the graph's process: a small map and raw arrays.

A frame is a prefix (magic, bytes of the head, bytes of the body), a MessagePack head and a body of
arrays, each begun at a multiple of eight bytes. No copy is made of an array on its way out.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_BYTES", "Frame", "FrameDecoder", "FrameError", "encode_frame"]

MOST_BYTES = 1 << 31
"""Of a head and its body; more is a peer that writes something else."""

_PREFIX = struct.Struct("=4sIQ")
_MAGIC = b"EGF1"
_ALIGN = 8
_DTYPES = {np.dtype(kind).str: np.dtype(kind) for kind in (np.float32, np.uint64, np.int64)}


class FrameError(ValueError):
    """These bytes are no frame; nothing after them can be understood."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """`kind` says what is asked or answered, `call` which answer belongs to which request."""

    kind: str
    call: int = 0
    fields: dict[str, Any] = field(default_factory=dict)
    arrays: tuple[NDArray[Any], ...] = ()
    """float32, uint64 or int64, in the machine's byte order."""


def encode_frame(frame: Frame) -> list[bytes | memoryview]:
    """The frame's bytes, in pieces to be written one after the other.

    Raises FrameError for an array of another dtype and for a frame over the limit.
    """
    arrays = [np.ascontiguousarray(array) for array in frame.arrays]
    shapes = [[_dtype_of(array), *array.shape] for array in arrays]
    head = msgpack.packb([frame.kind, frame.call, frame.fields, shapes])
    pieces: list[bytes | memoryview] = []
    body_bytes = 0
    for array in arrays:
        pieces.append(array.reshape(-1).view(np.uint8).data if array.size else b"")
        padding = -array.nbytes % _ALIGN
        pieces.append(bytes(padding))
        body_bytes += array.nbytes + padding
    if len(head) + body_bytes > MOST_BYTES:
        raise FrameError(f"a frame of {len(head) + body_bytes} bytes is over the limit")
    return [_PREFIX.pack(_MAGIC, len(head), body_bytes), head, *pieces]


class FrameDecoder:
    """Bytes in, frames out, however the bytes are cut."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._wanted = _PREFIX.size

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes. Raises FrameError; then the peer must be given up."""
        self._buffer += data
        found: list[Frame] = []
        while len(self._buffer) >= self._wanted:
            head_bytes, body_bytes = _sizes(self._buffer)
            self._wanted = _PREFIX.size + head_bytes + body_bytes
            if len(self._buffer) < self._wanted:
                break
            with memoryview(self._buffer) as view:
                content = bytes(view[_PREFIX.size : self._wanted])
            del self._buffer[: self._wanted]
            self._wanted = _PREFIX.size
            found.append(_decode(content, head_bytes))
        return found


def _sizes(buffer: bytearray) -> tuple[int, int]:
    magic, head_bytes, body_bytes = _PREFIX.unpack_from(buffer)
    if magic != _MAGIC or head_bytes + body_bytes > MOST_BYTES:
        raise FrameError("this is no frame of a graph's process")
    return head_bytes, body_bytes


def _decode(content: bytes, head_bytes: int) -> Frame:
    try:
        kind, call, fields, shapes = msgpack.unpackb(content[:head_bytes])
        arrays = []
        offset = head_bytes
        for name, *shape in shapes:
            dtype = _DTYPES[name]
            count = math.prod(shape)
            array = np.frombuffer(content, dtype, count, offset).reshape(shape)
            arrays.append(array)
            offset += array.nbytes + -array.nbytes % _ALIGN
    except Exception as exc:  # whatever the unpacker and numpy make of bytes that are not ours
        raise FrameError(f"a frame cannot be read: {exc}") from exc
    if offset != len(content):
        raise FrameError("a frame's arrays do not fill its body")
    return Frame(kind, call, fields, tuple(arrays))


def _dtype_of(array: NDArray[Any]) -> str:
    name = array.dtype.str
    if name not in _DTYPES:
        raise FrameError(f"an array of {array.dtype} cannot travel")
    return name
