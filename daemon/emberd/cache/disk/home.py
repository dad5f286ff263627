"""The persistent tier's place on disk: who uses it, how it was left, what was set aside.

`lmdb/` holds the environment. `lmdb.state` is locked while a daemon uses it and says "open" or
"closed": a file that still says "open" was not closed in order.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from pathlib import Path

from emberd.errors import CacheUnavailableError

__all__ = ["Home"]

_OPEN, _CLOSED = b"open\n", b"closed\n"
_KEPT_CORRUPT = 2


class Home:
    """The folder of one environment, ours alone until `leave`.

    Raises CacheUnavailableError where it cannot be made or another process holds it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = folder / "lmdb"
        self.data_file = self.environment / "data.mdb"
        try:
            self.environment.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._state = os.open(
                folder / "lmdb.state", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
        except OSError as exc:
            raise _unusable(folder, exc) from exc
        try:
            self._lock()
            self.was_closed = os.pread(self._state, len(_CLOSED), 0) == _CLOSED
            self._note(_OPEN)
        except BaseException:
            os.close(self._state)
            raise

    def leave(self, *, is_sound: bool) -> None:
        """Let others in; with `is_sound` the next start need not check the file."""
        try:
            if is_sound:
                self._note(_CLOSED)
        except CacheUnavailableError:
            pass  # the next start checks the file, nothing worse
        finally:
            os.close(self._state)

    def set_aside(self, label: str, reason: str) -> str:
        """Move the environment out of the way (`lmdb.<label>-<time>`) and make an empty folder.

        Of those labelled "corrupt" only the last two are kept. Returns what people should know.
        """
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        aside = self.folder / f"lmdb.{label}-{stamp}"
        count = 1
        while aside.exists():
            count += 1
            aside = self.folder / f"lmdb.{label}-{stamp}.{count}"
        try:
            self.environment.rename(aside)
            self.environment.mkdir(mode=0o700)
        except OSError as exc:
            raise _unusable(self.folder, exc) from exc
        for old in sorted(self.folder.glob("lmdb.corrupt-*"))[:-_KEPT_CORRUPT]:
            shutil.rmtree(old, ignore_errors=True)
        return f"The cache file was set aside as {aside.name} and a new one begun: {reason}."

    def wipe(self) -> None:
        """Delete the environment's files; it must not be open."""
        for file in self.environment.iterdir():
            file.unlink()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._state, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise CacheUnavailableError(
                f"Another process uses the cache in {self.folder}. Stop it, or set EMBERD_HOME to "
                "give this daemon folders of its own.",
                details={"path": str(self.folder)},
            ) from exc

    def _note(self, state: bytes) -> None:
        try:
            os.ftruncate(self._state, 0)
            os.pwrite(self._state, state, 0)
            os.fsync(self._state)
        except OSError as exc:
            raise _unusable(self.folder, exc) from exc


def _unusable(folder: Path, exc: OSError) -> CacheUnavailableError:
    return CacheUnavailableError(
        f"Cannot use {folder} for the cache: {exc.strerror or exc}. Make it writable, or set "
        "EMBERD_HOME to another folder.",
        details={"path": str(folder)},
    )
