"""Saving without standing still: a forked child writes the graph as it was at the fork."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass

from emberd.errors import EmberdError, StorageError, error_from_wire

__all__ = ["CAN_FORK", "Saver"]

# macOS has fork, but its own libraries do not survive it.
CAN_FORK = hasattr(os, "fork") and sys.platform != "darwin"

_NICE = 10
_MOST_REPORT_BYTES = 65_536

Write = Callable[[Callable[[], bool]], int]
"""Writes a checkpoint and returns its number; asks whether it is still wanted."""


@dataclass(slots=True)
class _Child:
    pid: int
    report: int
    """The end of the pipe that it reports through; its end of file is the child's end."""


class Saver:
    """At most one save at a time. The process that forks has no other thread."""

    def __init__(self, write: Write, *, forks: bool, inherited: Callable[[], int]) -> None:
        """`inherited()`: a file descriptor that a child must not keep open."""
        self._write = write
        self._forks = forks and CAN_FORK
        self._inherited = inherited
        self._child: _Child | None = None
        self._done: int | EmberdError | None = None

    @property
    def is_busy(self) -> bool:
        return self._child is not None or self._done is not None

    @property
    def report(self) -> int | None:
        """What becomes readable when the child is done; None where nothing has to be awaited."""
        return self._child.report if self._child else None

    def start(self) -> None:
        """Begin to save. Where forking is not possible this saves at once."""
        if not self._forks:
            self._done = _outcome(lambda: self._write(lambda: True))
            return
        reader, writer = os.pipe()
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError:  # no memory for another process: stand still instead
            os.close(reader)
            os.close(writer)
            self._done = _outcome(lambda: self._write(lambda: True))
            return
        if pid == 0:
            self._run_child(parent, reader, writer)
        os.close(writer)
        self._child = _Child(pid, reader)

    def finish(self) -> int:
        """The number of the checkpoint; waits for the child.

        Raises what its writing raised, or StorageError.
        """
        done = self._done if self._child is None else self._reap(self._child)
        self._child = self._done = None
        if isinstance(done, int):
            return done
        raise done or StorageError("No save of the graph was started.")

    def cancel(self) -> None:
        """Stop a save that runs; what it wrote is swept away later."""
        if self._child is not None:
            os.kill(self._child.pid, signal.SIGKILL)
            self._reap(self._child)
        self._child = self._done = None

    def _reap(self, child: _Child) -> int | EmberdError:
        with os.fdopen(child.report, "rb") as source:
            report = source.read(_MOST_REPORT_BYTES)
        _, status = os.waitpid(child.pid, 0)
        return _read_report(report, os.waitstatus_to_exitcode(status))

    def _run_child(self, parent: int, reader: int, writer: int) -> None:
        """Never returns, and runs no destructor: the graph is its parent's."""
        try:
            for handle in (reader, self._inherited()):
                os.close(handle)
            os.nice(_NICE)
            done = _outcome(lambda: self._write(lambda: os.getppid() == parent))
            report = done.to_wire() if isinstance(done, EmberdError) else done
            os.write(writer, json.dumps(report).encode()[:_MOST_REPORT_BYTES])
        finally:
            os._exit(0)


def _outcome(write: Callable[[], int]) -> int | EmberdError:
    try:
        return write()
    except EmberdError as exc:
        return exc
    except Exception as exc:
        return StorageError(f"The graph could not be saved: {type(exc).__name__}: {exc}.")


def _read_report(report: bytes, code: int) -> int | EmberdError:
    try:
        done = json.loads(report)
    except ValueError:
        return StorageError(
            f"The process that saves the graph ended with code {code}; the checkpoints that are "
            "there stay, and the next attempt may succeed."
        )
    return done if isinstance(done, int) else error_from_wire(done)
