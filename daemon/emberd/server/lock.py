"""One daemon a folder: an advisory lock that the kernel drops with the process, however it dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path

from emberd.errors import DaemonAlreadyRunningError, StorageError

__all__ = ["FolderLock", "holder_of"]


# `holder_of` in another process holds a shared lock for a moment; that is no daemon.
_PATIENCE_S = 0.05


class FolderLock:
    """An exclusive flock on `file`, held until `release` or the end of the process.

    Raises DaemonAlreadyRunningError where another process holds it, StorageError where the file
    cannot be made. The holder's pid stands in the file, for people; the lock is what counts.
    """

    def __init__(self, file: Path) -> None:
        try:
            self._fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise StorageError(f"Cannot make the lock file {file}: {exc.strerror}.") from exc
        if not _lock_within(self._fd, _PATIENCE_S):
            pid = _pid_in(self._fd)
            os.close(self._fd)
            raise DaemonAlreadyRunningError(
                f"Another emberd daemon (pid {pid or 'unknown'}) uses {file.parent}. "
                "`emberd status` shows it, `emberd down` stops it.",
                details={"pid": pid, "folder": str(file.parent)},
            )
        os.ftruncate(self._fd, 0)
        os.write(self._fd, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Let go. A second call does nothing."""
        if self._fd >= 0:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = -1


def holder_of(file: Path) -> int | None:
    """The pid of the daemon that holds `file`'s lock; None where nobody does."""
    with contextlib.suppress(FileNotFoundError):
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return _pid_in(fd)
        finally:
            os.close(fd)
    return None


def _lock_within(fd: int, patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        else:
            return True


def _pid_in(fd: int) -> int | None:
    text = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
    return int(text) if text.isdigit() else None
