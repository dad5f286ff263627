"""A `.npy` file written row by row, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING

from emberd.errors import StorageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["NpyWriter", "npy_header"]

# The number of rows is known only at the end, so the header gets a fixed size and is written
# again then. 128 is what numpy itself pads such a header to (a multiple of 64).
_HEADER_BYTES = 128
_MAGIC = b"\x93NUMPY\x01\x00"


def npy_header(count: int, dim: int, descr: str = "<f4") -> bytes:
    """128 bytes: magic, version 1.0, length, and the dictionary of NumPy's format description."""
    values = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': ({count}, {dim}), }}"
    room = _HEADER_BYTES - len(_MAGIC) - 2
    return _MAGIC + room.to_bytes(2, "little") + values.ljust(room - 1).encode() + b"\n"


class NpyWriter:
    """Appends (k, dim) arrays to a temporary file beside `path`, and renames it at the end.

    A context manager: leaving it without an error puts the file in place, leaving it with one
    removes the temporary file and keeps whatever was at `path` before. Raises StorageError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self.dim = 0
        self.descr = "<f4"
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._file: IO[bytes] | None = None

    def __enter__(self) -> NpyWriter:
        try:
            # No umask tricks: the file gets the mode that any file of the person's gets.
            self._file = self._temporary.open("xb")
            self._file.write(bytes(_HEADER_BYTES))
        except OSError as exc:
            raise self._failed(exc) from exc
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._finish()
        except OSError as fault:
            raise self._failed(fault) from fault
        finally:
            if self._file is not None:
                self._file.close()
            self._temporary.unlink(missing_ok=True)

    def append(self, rows: NDArray[np.generic]) -> None:
        """Write (k, dim) rows; the first call decides dim and dtype."""
        if self._file is None:
            raise StorageError("The writer is not open.")
        if not self.count:
            self.dim, self.descr = rows.shape[1], rows.dtype.str
        try:
            self._file.write(rows.tobytes())
        except OSError as exc:
            raise self._failed(exc) from exc
        self.count += rows.shape[0]

    def _finish(self) -> None:
        file = self._file
        if file is None:
            return
        file.seek(0)
        file.write(npy_header(self.count, self.dim, self.descr))
        file.flush()
        os.fsync(file.fileno())
        self._temporary.replace(self.path)

    def _failed(self, exc: OSError) -> StorageError:
        return StorageError(
            f"Cannot write {self.path}: {exc.strerror or exc}.", details={"path": str(self.path)}
        )
