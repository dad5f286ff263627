"""Starting the daemon where none runs, and waiting until it serves.

The daemon writes one line of JSON to the pipe that it is given, so nothing is polled; clients
that come at the same time take turns on a lock file, so one of them starts it and the others find
it running.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from emberd.errors import DaemonAlreadyRunningError, DaemonUnreachableError
from emberd.paths import Paths, ensure_private_folder

__all__ = ["Launcher"]

_START_S: Final = 30.0
_LONGEST_LINE: Final = 65_536

# The shell starts the daemon in the background and leaves, so that the daemon is never our
# child: it leaves no zombie, and Python warns of no subprocess that still runs.
_ORPHAN: Final = ("/bin/sh", "-c", '"$@" &', "sh")


class Launcher:
    """Starts the daemon of the given folders; `command` gets `--ready-fd N` at its end."""

    def __init__(
        self,
        paths: Paths,
        *,
        command: Sequence[str] | None = None,
        timeout_s: float = _START_S,
    ) -> None:
        self.paths = paths
        self.command = tuple(command or (sys.executable, "-m", "emberd.server"))
        self.timeout_s = timeout_s

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Held by the one client that starts the daemon; others wait here for it to serve."""
        ensure_private_folder(self.paths.runtime)
        fd = os.open(
            self.paths.runtime / "start.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600
        )
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)  # its holder is bound by its own timeout
            yield
        finally:
            os.close(fd)

    def launch(self) -> None:
        """Start it and wait until it serves. A daemon that runs already is as good.

        Raises DaemonUnreachableError with its own reason, the command and the log's path.
        """
        report = self._reported()
        if report.get("state") == "ready" or report.get("code") == DaemonAlreadyRunningError.code:
            return
        raise self._failure(
            str(report.get("message") or "It said nothing more."), code=report.get("code")
        )

    def _reported(self) -> Mapping[str, Any]:
        reader, writer = os.pipe()
        try:
            try:
                self._spawn(writer)
            finally:
                os.close(writer)  # the daemon's copy alone keeps the pipe open now
            line = self._read_line(reader)
        finally:
            os.close(reader)
        try:
            report = json.loads(line)
        except ValueError:
            report = None
        return report if isinstance(report, dict) else {}

    def _spawn(self, writer: int) -> None:
        try:
            subprocess.run(
                [*_ORPHAN, *self.command, "--ready-fd", str(writer)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(writer,),
                start_new_session=True,
                cwd="/",  # a daemon must not keep a folder of its starter's busy
                env=_absolute_environment(),
                check=True,
            )
        except (OSError, subprocess.SubprocessError) as exc:
            raise self._failure(f"It could not be run: {exc}.") from exc

    def _read_line(self, reader: int) -> bytes:
        """What comes before the end of the line or of the pipe."""
        deadline = time.monotonic() + self.timeout_s
        poll = select.poll()
        poll.register(reader, select.POLLIN)
        line = b""
        while b"\n" not in line and len(line) < _LONGEST_LINE:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not poll.poll(left_s * 1_000):
                raise self._failure(f"It was not ready within {self.timeout_s:g} s.")
            data = os.read(reader, 4_096)
            if not data:
                break
            line += data
        return line

    def _failure(self, why: str, **details: Any) -> DaemonUnreachableError:
        command = " ".join(self.command)
        return DaemonUnreachableError(
            f"The daemon could not be started. {why} Its log is {self.paths.log_file}; "
            f"`emberd up --foreground` shows it at work.",
            details={"command": command, "log": str(self.paths.log_file), **details},
        )


def _absolute_environment() -> dict[str, str]:
    """Ours, with the folders that the daemon finds by it made independent of where it runs."""
    environment = dict(os.environ)
    for name in ("EMBERD_HOME", "EMBERD_CONFIG"):
        if value := environment.get(name):
            environment[name] = str(Path(value).expanduser().absolute())
    return environment
