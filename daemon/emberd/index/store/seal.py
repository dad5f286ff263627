"""`acknowledged`: the version that was last acknowledged, kept outside of the database.

SQLite forgets silently what stood in a damaged write-ahead log. This note, written (not synced)
after every commit, outlives a kill and tells how much is missing; after a power cut it may lag
behind, which is no alarm.
"""

from __future__ import annotations

import os
import zlib
from contextlib import suppress
from pathlib import Path
from struct import Struct

__all__ = ["Seal"]

_BODY = Struct("<QQ")
_CRC = Struct("<I")


class Seal:
    """One collection's note. `version` and `next_label` are what it said at the opening, or 0."""

    def __init__(self, file: Path) -> None:
        self._handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.version, self.next_label = _read(os.pread(self._handle, _BODY.size + _CRC.size, 0))

    def note(self, version: int, next_label: int) -> None:
        """Say that this version is acknowledged and that these labels are taken."""
        body = _BODY.pack(version, next_label)
        with suppress(OSError):  # a note about the writes must not fail one
            os.pwrite(self._handle, body + _CRC.pack(zlib.crc32(body)), 0)

    def close(self) -> None:
        os.close(self._handle)


def _read(data: bytes) -> tuple[int, int]:
    if len(data) < _BODY.size + _CRC.size:
        return 0, 0
    body = data[: _BODY.size]
    if _CRC.unpack_from(data, _BODY.size)[0] != zlib.crc32(body):
        return 0, 0
    version, next_label = _BODY.unpack(body)
    return version, next_label
