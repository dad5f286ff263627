"""Values in Redis: the value, when it was made, and a checksum of both and of the name.

Anyone can write to a Redis; what is not ours, or is under a wrong name, must not become a vector.
"""

from __future__ import annotations

from typing import NamedTuple
from zlib import crc32

__all__ = ["TAIL_BYTES", "Record", "seal", "unseal"]

TAIL_BYTES = 8
"""Unix seconds (uint32) and CRC-32, little-endian."""


class Record(NamedTuple):
    """A value, and the Unix time at which it was made."""

    value: bytes
    created: int


def seal(name: bytes, value: bytes, created: int) -> bytes:
    """What is kept under `name`."""
    body = value + created.to_bytes(4, "little")
    return body + crc32(body, crc32(name)).to_bytes(4, "little")


def unseal(name: bytes, sealed: bytes) -> Record | None:
    """What `seal` was given; None where it did not make these bytes for this name."""
    body, checksum = sealed[:-4], sealed[-4:]
    if len(sealed) < TAIL_BYTES or crc32(body, crc32(name)).to_bytes(4, "little") != checksum:
        return None
    return Record(body[:-4], int.from_bytes(body[-4:], "little"))
