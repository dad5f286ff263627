"""The end of a log file, and what is added to it while it is rotated away under the reader."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import IO

__all__ = ["LogFollower", "last_lines"]

_BLOCK_BYTES = 64 * 1024


def last_lines(file: IO[bytes], count: int) -> bytes:
    """The last `count` lines of an open file, read from its end; the file is then at its end."""
    end = file.seek(0, os.SEEK_END)
    if count <= 0:
        return b""
    start, found = end, b""
    while start and found.count(b"\n") <= count:
        step = min(_BLOCK_BYTES, start)
        start -= step
        file.seek(start)
        found = file.read(step) + found
    file.seek(end)
    return b"".join(found.splitlines(keepends=True)[-count:])


class LogFollower:
    """Reads what is appended to `path`; when the file is rotated, the rest of the old one first.

    `read` never waits: whoever calls it decides how often. A file that is not there (yet) reads
    as empty.
    """

    def __init__(self, path: Path, *, lines: int) -> None:
        self.path = path
        self._file: IO[bytes] | None = None
        self._lines = lines

    def __enter__(self) -> LogFollower:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def read(self) -> bytes:
        """What is new: the last lines at first, then everything since the last call."""
        if self._file is None:
            return self._open()
        found = self._file.read()
        if self._is_truncated(self._file):
            self._file.seek(0)
            return found + self._file.read()
        if self._is_rotated(self._file):
            self._file.close()
            self._file, self._lines = None, -1
            return found + self._open()
        return found

    def _open(self) -> bytes:
        try:
            self._file = self.path.open("rb")
        except FileNotFoundError:
            self._lines = -1  # what appears later is new from its first line
            return b""
        return self._file.read() if self._lines < 0 else last_lines(self._file, self._lines)

    def _is_truncated(self, file: IO[bytes]) -> bool:
        return os.fstat(file.fileno()).st_size < file.tell()

    def _is_rotated(self, file: IO[bytes]) -> bool:
        try:
            now = self.path.stat()
        except FileNotFoundError:
            return False  # between the renaming and the new file
        opened = os.fstat(file.fileno())
        return (now.st_dev, now.st_ino) != (opened.st_dev, opened.st_ino)
