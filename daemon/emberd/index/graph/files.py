"""Bytes that the disk has, and whether they are still the same."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

__all__ = ["hash_of", "sync_file", "sync_folder", "write_synced"]

_HASH_BYTES = 16


def hash_of(file: Path) -> str:
    """blake2b of the file's content: 0.27 s for 170 MB, with or without SHA instructions."""
    with file.open("rb") as source:
        return hashlib.file_digest(
            source, lambda: hashlib.blake2b(digest_size=_HASH_BYTES)
        ).hexdigest()


def write_synced(file: Path, data: bytes) -> None:
    """Write a file and wait until the disk has it."""
    file.write_bytes(data)
    sync_file(file)


def sync_file(file: Path) -> None:
    """Wait until the disk has what was written to a file."""
    _sync(file, os.O_RDONLY)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder outlive a power cut."""
    _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
