"""Files of the store: hashing, making them durable, and a lock between processes."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from emberd.errors import StorageError
from emberd.models.progress import Step, Watch

__all__ = ["locked", "make_durable", "sha256_of", "storage_errors", "sync"]

_CHUNK = 4 << 20
_LOCK_POLL_S = 0.1


def sha256_of(path: Path, watch: Watch | None = None, step: Step = "verify") -> str:
    """The file's sha256 in hex; reports every 4 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        total = os.fstat(file.fileno()).st_size
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            if watch is not None:
                watch.report(step, path.name, file.tell(), total)
    return digest.hexdigest()


def make_durable(folder: Path) -> None:
    """fsync the folder's files, then the folder: after this a rename cannot land without them."""
    for path in (*folder.iterdir(), folder):
        sync(path)


def sync(path: Path) -> None:
    """fsync one file or folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path, watch: Watch) -> Iterator[None]:
    """Hold an exclusive lock on `path` among processes and threads; it ends with its holder.

    Waits as long as another holds it; raises CancelledRequestError when `watch` says so. The
    file stays: removing a lock's file lets two holders in.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while not _try_lock(descriptor):
            watch.check()
            time.sleep(_LOCK_POLL_S)  # flock cannot be waited for and cancelled at once
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Translate an OSError of the store at `path` into a StorageError that says what to do."""
    try:
        yield
    except OSError as exc:
        advice = (
            "Free some space and try again."
            if exc.errno in (errno.ENOSPC, errno.EDQUOT)
            else "Check its permissions, or set EMBERD_HOME to another folder."
        )
        raise StorageError(
            f"{exc.filename or path} cannot be used: {exc.strerror or exc}. {advice}",
            details={"path": str(path)},
        ) from exc
