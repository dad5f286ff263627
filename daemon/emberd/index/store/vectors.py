"""The file of vectors: rows appended, mapped into memory, checked by their crcs.

The file is longer than its rows (room to grow, a hole on the disk), so the mapping seldom changes.
Rows behind the last committed one are leftovers of a write that was never acknowledged; the next
write goes over them. One thread writes; any number read the rows that a view gives them.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emberd.index.manifest import sync_folder
from emberd.index.store.layout import RowLayout, Rows

__all__ = ["VectorFile"]

_SMALLEST_ROWS = 256
_GROWTH = 1.5
# Rows checked or copied at a time: bounds the memory and lets other threads in between.
_BLOCK_ROWS = 4_096
_sync = getattr(os, "fdatasync", os.fsync)  # macOS has only the latter


class VectorFile:
    """One collection's vectors. Raises OSError where the disk does."""

    def __init__(self, file: Path, layout: RowLayout) -> None:
        self.file = file
        self.layout = layout
        self._rows: Rows = np.empty(0, layout.record)
        self._handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # An odd end is a row that was cut; it is no row.
            found = os.fstat(self._handle).st_size // layout.row_bytes
            self._map(max(found, _SMALLEST_ROWS))
        except BaseException:
            os.close(self._handle)
            raise

    @property
    def used_rows(self) -> int:
        """Rows up to the last that was ever written, committed or not."""
        used = np.flatnonzero(self._rows["label"])
        return int(used[-1]) + 1 if len(used) else 0

    def rows(self, count: int) -> Rows:
        """The first `count` rows, mapped: read only, and kept alive by whoever holds them."""
        some: Rows = self._rows[:count]
        return some

    def check(self, count: int) -> tuple[NDArray[np.uint64], NDArray[np.uint32], NDArray[np.bool]]:
        """Labels, crcs as written, and whether each row's crc is right, of the first rows."""
        rows = self._rows[:count]
        labels = np.empty(count, np.uint64)
        crcs = np.empty(count, np.uint32)
        good = np.empty(count, np.bool)
        for start in range(0, count, _BLOCK_ROWS):
            block = slice(start, min(start + _BLOCK_ROWS, count))
            labels[block] = rows["label"][block]
            crcs[block] = rows["crc"][block]
            good[block] = self.layout.crcs_of(rows[block]) == crcs[block]
        return labels, crcs, good

    def write(self, at: int, parts: Sequence[Rows]) -> None:
        """Put rows behind the first `at`, onto the disk before this returns."""
        needed = at + sum(map(len, parts))
        if needed > self._capacity:
            self._map(max(needed, int(self._capacity * _GROWTH)))
        for rows in parts:
            _write_all(self._handle, _bytes_of(rows), at * self.layout.row_bytes)
            at += len(rows)
        _sync(self._handle)

    def replace(self, rows: Rows, kept: NDArray[np.intp]) -> VectorFile:
        """A new file with only the `kept` of `rows`, in the place of this one, which closes."""
        fresh = self.file.with_name(f"{self.file.name}.new")
        fresh.unlink(missing_ok=True)
        handle = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            for start in range(0, len(kept), _BLOCK_ROWS):
                block = rows[kept[start : start + _BLOCK_ROWS]]
                _write_all(handle, _bytes_of(block), start * self.layout.row_bytes)
            os.fsync(handle)
        finally:
            os.close(handle)
        fresh.rename(self.file)
        sync_folder(self.file.parent)
        replaced = VectorFile(self.file, self.layout)
        self.close()
        return replaced

    def close(self) -> None:
        """Let go of the file; rows that others still hold stay readable."""
        os.close(self._handle)
        self._rows = self._rows[:0]

    def _map(self, capacity: int) -> None:
        size = capacity * self.layout.row_bytes
        if os.fstat(self._handle).st_size != size:
            os.ftruncate(self._handle, size)
        mapped = mmap.mmap(self._handle, size, prot=mmap.PROT_READ)
        self._rows = np.frombuffer(mapped, self.layout.record, capacity)
        self._capacity = capacity


def _bytes_of(rows: Rows) -> memoryview:
    return rows.view(np.uint8).reshape(-1).data


def _write_all(handle: int, data: memoryview, offset: int) -> None:
    while data:
        written = os.pwrite(handle, data, offset)
        data, offset = data[written:], offset + written
