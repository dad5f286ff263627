"""The end of the process: what a plugin left behind must not hold it up."""

from __future__ import annotations

import atexit
import os
import threading
import time

__all__ = ["leave_behind"]

_PATIENCE_S = 2.0


def leave_behind(exit_code: int) -> None:
    """End the process at once where threads go on that the interpreter would wait for.

    A tier that hangs in a call keeps a worker of its pool for ever, and Python joins those at its
    end. Everything is written by then; what is registered with `atexit` still runs.
    """
    deadline = time.monotonic() + _PATIENCE_S
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                atexit._run_exitfuncs()
                os._exit(exit_code)
