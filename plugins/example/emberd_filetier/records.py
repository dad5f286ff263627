"""The file's format: a mark, then one checksummed record after the other."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["Place", "RecordFile"]

_MARK = b"filetier1\n"
_HEADER = struct.Struct("<IHHI")  # checksum of all that follows, and three lengths
_GONE = 0xFFFF_FFFF  # in place of a value's length: the key was deleted


class Place(NamedTuple):
    """Where a record lies."""

    offset: int
    size: int


class RecordFile:
    """Records are appended and never changed. Not thread-safe: the tier has the lock."""

    def __init__(self, path: Path) -> None:
        """Open `path`, or make it. Raises OSError, and ValueError for a file of another kind."""
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.size = os.fstat(self._fd).st_size
        if self.size < len(_MARK):  # fresh, or cut off while it was made
            self.reset()
        elif os.pread(self._fd, len(_MARK), 0) != _MARK:
            os.close(self._fd)
            raise ValueError(f"{path} is no file of this tier; move it away.")

    def append(self, namespace: str, key: bytes, value: bytes | None) -> Place:
        """Write a record; None says that the key was deleted. Raises OSError, e.g. no space."""
        name = namespace.encode()
        length = _GONE if value is None else len(value)
        body = _HEADER.pack(0, len(name), len(key), length)[4:] + name + key + (value or b"")
        record = zlib.crc32(body).to_bytes(4, "little") + body
        if os.pwrite(self._fd, record, self.size) != len(record):
            os.ftruncate(self._fd, self.size)
            raise OSError(f"{self.path} could not be written to its end")
        place = Place(self.size, len(record))
        self.size += len(record)
        return place

    def read(self, place: Place) -> tuple[str, bytes, bytes | None] | None:
        """Namespace, key and value of a record; None when it is damaged."""
        record = os.pread(self._fd, place.size, place.offset)
        if len(record) != place.size or zlib.crc32(record[4:]) != _HEADER.unpack_from(record)[0]:
            return None
        _, names, keys, values = _HEADER.unpack_from(record)
        name, rest = record[_HEADER.size :][:names], record[_HEADER.size + names :]
        return name.decode(), rest[:keys], None if values == _GONE else rest[keys:]

    def scan(self) -> Iterator[tuple[Place, tuple[str, bytes, bytes | None] | None]]:
        """Every record, from the oldest on; what was cut off at the end is taken away."""
        offset = len(_MARK)
        while (header := os.pread(self._fd, _HEADER.size, offset)) and offset < self.size:
            if len(header) < _HEADER.size:
                break
            _, names, keys, values = _HEADER.unpack(header)
            size = _HEADER.size + names + keys + (0 if values == _GONE else values)
            if offset + size > self.size:
                break
            place = Place(offset, size)
            yield place, self.read(place)
            offset += size
        os.ftruncate(self._fd, offset)
        self.size = offset

    def reset(self) -> None:
        """Forget everything."""
        os.ftruncate(self._fd, 0)
        self.size = os.pwrite(self._fd, _MARK, 0)

    def replace(self, path: Path) -> None:
        """Take the place of the file at `path`, whole or not at all."""
        os.fsync(self._fd)
        self.path.rename(path)
        self.path = path

    def close(self) -> None:
        """Once."""
        os.close(self._fd)
