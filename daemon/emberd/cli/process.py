"""The daemon as a process: who holds the lock, and waiting until it has gone."""

from __future__ import annotations

import os
import select
import signal
from typing import TYPE_CHECKING

from emberd.errors import RequestTimeoutError
from emberd.server.lock import holder_of

if TYPE_CHECKING:
    from emberd.paths import Paths

__all__ = ["running_pid", "send_signal", "stop", "wait_gone"]

_SECOND_SIGNAL_S = 0.5
_NOW_S = 10.0


def running_pid(paths: Paths) -> int | None:
    """The pid of the daemon on these folders, whether it answers or not; None where none runs."""
    return holder_of(paths.runtime_lock)


def wait_gone(pid: int, timeout_s: float) -> bool:
    """Wait until the process has ended; False when it still runs after `timeout_s`."""
    if hasattr(os, "pidfd_open"):
        return _wait_on_pidfd(pid, timeout_s)
    import psutil  # noqa: PLC0415  # where the system has no pidfd; not for `status`

    try:
        psutil.Process(pid).wait(timeout_s)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True


def _wait_on_pidfd(pid: int, timeout_s: float) -> bool:
    # Readable once the process has ended, even while its parent has not reaped it: in a
    # container without an init, that may be never.
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], timeout_s)[0])
    finally:
        os.close(fd)


def send_signal(pid: int) -> None:
    """SIGTERM; nothing happens where the process has gone meanwhile."""
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return


def stop(pid: int, *, drain_s: float, is_now: bool) -> None:
    """Ask the daemon to leave and wait until it has. Raises RequestTimeoutError.

    The first SIGTERM lets it drain for at most `drain_s`; `is_now` sends the second, which ends
    it at once.
    """
    send_signal(pid)
    if is_now and not wait_gone(pid, _SECOND_SIGNAL_S):
        send_signal(pid)
    # Beyond the draining itself: the last group commit, and closing the model.
    limit_s = _NOW_S if is_now else drain_s + _NOW_S
    if not wait_gone(pid, limit_s):
        hint = f"kill -9 {pid} ends it; at most the last moment's cache writes are lost."
        raise RequestTimeoutError(
            f"The daemon (pid {pid}) still runs after {limit_s:.0f} s. "
            + (hint if is_now else "`emberd down --now` does not wait for its work."),
            details={"pid": pid},
        )
