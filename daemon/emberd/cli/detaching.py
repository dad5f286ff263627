"""A command that goes on without its terminal: the same words again, in a session of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from emberd.errors import StorageError

__all__ = ["detach", "end_on_sigterm", "say_started"]

_STARTED: Final = b"started\n"
_TAIL_BYTES: Final = 2_000


def detach(words: Sequence[str], log: Path) -> int:
    """Run `emberd` with these words in the background, its output in `log`; the process's id.

    Returns once the command has called `say_started`. Raises StorageError with what it wrote
    where it ended before.
    """
    reading, writing = os.pipe()
    with open(log, "wb", opener=_private) as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "emberd", *words, "--started-fd", str(writing)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            pass_fds=(writing,),
            start_new_session=True,
        )
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        is_started = pipe.read() == _STARTED
    if is_started:
        process.returncode = 0  # it is nobody's child to wait for; no warning at our end
        return process.pid
    process.wait()
    said = log.read_bytes()[-_TAIL_BYTES:].decode("utf-8", "replace").strip()
    raise StorageError(
        f"The run in the background ended at once: {said or 'it said nothing'}",
        details={"log": str(log)},
    )


def end_on_sigterm() -> None:
    """Make SIGTERM end this process as Ctrl-C would, in order."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def say_started(fd: int) -> None:
    """Tell the process that started us that it may go."""
    with os.fdopen(fd, "wb") as pipe:
        pipe.write(_STARTED)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
