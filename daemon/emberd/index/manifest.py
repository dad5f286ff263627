"""`collection.json`: what a collection is, beside its database and repeated in it.

Two copies, so that neither file's damage makes the other one useless.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Literal

import msgspec

__all__ = ["FORMAT", "MANIFEST_FILE", "Manifest", "ManifestError", "read_manifest"]

# Of everything in the folder: a change of the database's tables or of the vectors' file changes it.
FORMAT = 1
MANIFEST_FILE = "collection.json"


class ManifestError(Exception):
    """The file is missing, damaged, or of a later version (`is_newer`)."""

    def __init__(self, message: str, *, is_newer: bool = False) -> None:
        super().__init__(message)
        self.is_newer = is_newer


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What never changes about a collection."""

    name: str
    model: str
    fingerprint: str
    dim: int
    dtype: Literal["f32", "f16"]
    created: float
    format: int = FORMAT

    def to_json(self) -> bytes:
        """One line with a checksum of the rest in front: `{"crc": ..., "collection": {...}}`."""
        body = msgspec.json.encode(self)
        return b'{"crc": %d, "collection": %s}\n' % (zlib.crc32(body), body)

    @classmethod
    def from_json(cls, data: bytes) -> Manifest:
        """Raises ManifestError for anything that `to_json` did not write."""
        try:
            sealed = msgspec.json.decode(data, type=_Sealed)
            body = bytes(sealed.collection)
            if zlib.crc32(body) != sealed.crc:
                raise ManifestError("its checksum does not match")
            found = msgspec.json.decode(body, type=_Format).format
            if found > FORMAT:
                raise ManifestError(f"it has the collection format {found}", is_newer=True)
            return msgspec.json.decode(body, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
            raise ManifestError(f"it makes no sense ({exc})") from exc

    def write(self, folder: Path) -> None:
        """Write the file, by rename and onto the disk. Raises OSError."""
        fresh = folder / f"{MANIFEST_FILE}.new"
        with fresh.open("wb") as stream:
            stream.write(self.to_json())
            stream.flush()
            os.fsync(stream.fileno())
        fresh.rename(folder / MANIFEST_FILE)
        sync_folder(folder)


class _Sealed(msgspec.Struct):
    crc: int
    collection: msgspec.Raw


class _Format(msgspec.Struct):
    format: int


def read_manifest(folder: Path) -> Manifest:
    """The manifest in `folder`. Raises ManifestError, and OSError where it cannot be read."""
    try:
        return Manifest.from_json((folder / MANIFEST_FILE).read_bytes())
    except FileNotFoundError:
        raise ManifestError("it is missing") from None


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` last through a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
