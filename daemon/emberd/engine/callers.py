"""Caller threads: each takes a batch, runs it, reports, and takes the next."""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Callable

from emberd.engine.events import CallerDied, CallerReady, Event
from emberd.engine.text import Batch

__all__ = ["Caller"]

# The event loop keeps ten times the weight of a caller, so hits stay fast under bulk work.
_NICE = 10


class Caller:
    """One caller's place: a thread that can be replaced, and the inbox that outlives it."""

    def __init__(
        self,
        index: int,
        run: Callable[[int, Batch], Event],
        post: Callable[[Event], None],
        *,
        is_background: bool,
    ) -> None:
        """`run(index, batch)` gives the event to report; an exception from it ends the thread."""
        self.index = index
        self._run = run
        self._post = post
        self._is_background = is_background
        self._inbox: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread, or a new one in the place of a dead one."""
        thread = threading.Thread(
            target=self._work, name=f"emberd-caller-{self.index}", daemon=True
        )
        thread.start()
        self._thread = thread

    def give(self, batch: Batch) -> None:
        """Hand a batch to this idle caller."""
        self._inbox.put(batch)

    def stop(self) -> None:
        """Let the thread end after what it runs; does not wait for it."""
        self._inbox.put(None)

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread's end; False when it still runs."""
        if self._thread is not None:
            self._thread.join(timeout_s)
            return not self._thread.is_alive()
        return True

    def _work(self) -> None:
        try:
            if self._is_background:
                _lower_priority()
            self._post(CallerReady(self.index))
            while (batch := self._inbox.get()) is not None:
                self._post(self._run(self.index, batch))
        except BaseException as exc:
            self._post(CallerDied(self.index, exc))


def _lower_priority() -> None:
    """On Linux a thread has a nice value of its own; elsewhere it is the process's."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
