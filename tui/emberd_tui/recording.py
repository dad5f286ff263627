"""The file of a recording.

The first line is `emberd-recording 1`, with the number of the format. Frames follow, one a record:
three little-endian u32 (length of the data, CRC-32 of those four bytes, CRC-32 of the data), then
the data: the record as MessagePack, in one deflate stream that is flushed after every record. It is
only ever appended to, so a file that ends anywhere is read up to its last whole record; anything
else that is wrong with it is found.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from emberd.errors import StorageError
from emberd_tui.format import position
from emberd_tui.records import Header, Record

__all__ = ["FORMAT", "Recording", "RecordingFile", "read_recording"]

FORMAT = 1

_MAGIC = b"emberd-recording "
_FRAME = struct.Struct("<III")
_WINDOW_BITS = -15  # without zlib's own checksum: the frames have theirs
_MOST_BYTES = 64 * 1024 * 1024  # of one record: more is no record
_RECORDS = msgspec.msgpack.Decoder(Record)


class RecordingFile:
    """A new file, for its owner alone. Every record that is appended survives a kill."""

    def __init__(self, path: Path, header: Header) -> None:
        """Raises StorageError where the file exists or cannot be made."""
        self.path = path
        self.size_bytes = 0
        self._deflate = zlib.compressobj(wbits=_WINDOW_BITS)
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError as exc:
            raise StorageError(
                f"{path} exists already and is kept. Name another file.",
                details={"path": str(path)},
            ) from exc
        except OSError as exc:
            raise self._failed(exc) from exc
        self._write(b"%s%d\n" % (_MAGIC, FORMAT))
        self.append(header)

    def append(self, record: Header | Record) -> None:
        """Write one record. Raises StorageError; the file is closed then."""
        data = self._deflate.compress(msgspec.msgpack.encode(record))
        data += self._deflate.flush(zlib.Z_SYNC_FLUSH)
        length = len(data).to_bytes(4, "little")
        self._write(_FRAME.pack(len(data), zlib.crc32(length), zlib.crc32(data)) + data)

    def close(self) -> None:
        """Nothing more comes."""
        os.close(self._file)

    def _write(self, data: bytes) -> None:
        try:
            while data:
                written = os.write(self._file, data)
                self.size_bytes += written
                data = data[written:]
        except OSError as exc:
            self.close()
            raise self._failed(exc) from exc

    def _failed(self, exc: OSError) -> StorageError:
        return StorageError(
            f"Cannot write {self.path}: {exc.strerror}.", details={"path": str(self.path)}
        )


@dataclass(frozen=True, slots=True)
class Recording:
    """What a file holds: one record at least, in the order of time."""

    path: Path
    header: Header
    records: list[Record]
    is_cut: bool
    """It ends within a record: whatever recorded it was killed."""

    @property
    def length_s(self) -> float:
        """From the start to the last record."""
        return self.records[-1].at

    @property
    def note(self) -> str:
        """What a person should know of it; empty where it is whole."""
        if not self.is_cut:
            return ""
        return f"{self.path.name} breaks off at {position(self.length_s)}, within a record."


def read_recording(path: Path) -> Recording:
    """The recording in a file. Raises StorageError, which names it, where it cannot be read."""
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise _unusable(path, f"cannot be read: {exc.strerror}") from exc
    parts, is_cut = _parts(path, data)
    if len(parts) < 2:
        raise _unusable(path, "ends before its first record: nothing was recorded")
    try:
        header = msgspec.msgpack.decode(parts[0], type=Header)
        records = [_RECORDS.decode(part) for part in parts[1:]]
    except msgspec.MsgspecError as exc:
        raise _unusable(path, f"holds what this emberd cannot read ({exc})") from exc
    return Recording(path, header, records, is_cut)


def _parts(path: Path, data: bytes) -> tuple[list[bytes], bool]:
    """The records' bytes, and whether the last one is cut off."""
    inflate = zlib.decompressobj(wbits=_WINDOW_BITS)
    parts: list[bytes] = []
    at = _first_frame(path, data)
    while at < len(data):
        # A power failure can leave zeros where the last records should be.
        if len(data) - at < _FRAME.size or not data[at:].strip(b"\0"):
            return parts, True
        length, check, checksum = _FRAME.unpack_from(data, at)
        is_damaged = zlib.crc32(data[at : at + 4]) != check
        start, at = at, at + _FRAME.size + length
        if not is_damaged and at > len(data):
            return parts, True
        frame = data[start + _FRAME.size : at]
        if is_damaged or zlib.crc32(frame) != checksum:
            raise _unusable(path, f"is damaged at byte {start:,}; what follows is lost")
        try:
            parts.append(inflate.decompress(frame, _MOST_BYTES))
        except zlib.error as exc:
            raise _unusable(path, f"is damaged at byte {start:,}; what follows is lost") from exc
    return parts, False


def _first_frame(path: Path, data: bytes) -> int:
    """Where it begins, after the line that says what this is."""
    if not data:
        raise _unusable(path, "is empty: nothing was recorded")
    line, _, _ = data[:64].partition(b"\n")
    number = line.removeprefix(_MAGIC)
    if line.startswith(_MAGIC) and number.isdigit() and int(number) > FORMAT:
        raise _unusable(
            path, f"has the format {int(number)} of a newer emberd; this one reads {FORMAT}"
        )
    if line != b"%s%d" % (_MAGIC, FORMAT):
        raise _unusable(path, "is not a recording of `emberd top`")
    return len(line) + 1


def _unusable(path: Path, why: str) -> StorageError:
    return StorageError(f"{path} {why}.", details={"path": str(path)})
