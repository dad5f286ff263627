"""Worker threads with two lanes: interactive jobs go first, and bulk never takes every thread."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

__all__ = ["LanePool"]

_log = logging.getLogger("emberd.engine")


class LanePool:
    """Runs small jobs. A job reports its own outcome; what escapes one is logged, no more."""

    def __init__(self, name: str, threads: int) -> None:
        """`threads` is at least 2, or bulk jobs would never run."""
        self._changed = threading.Condition()
        self._interactive: deque[Callable[[], None]] = deque()
        self._bulk: deque[Callable[[], None]] = deque()
        self._bulk_running = 0
        self._most_bulk = threads - 1
        self._is_closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{index}", daemon=True)
            for index in range(threads)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def put(self, job: Callable[[], None], *, bulk: bool = False) -> None:
        """Queue a job; one that comes after `close` is dropped."""
        with self._changed:
            if not self._is_closed:
                (self._bulk if bulk else self._interactive).append(job)
                self._changed.notify()

    def close(self) -> None:
        """Drop what waits and let the threads end; does not wait for them."""
        with self._changed:
            self._is_closed = True
            self._interactive.clear()
            self._bulk.clear()
            self._changed.notify_all()

    def join(self, timeout_s: float) -> bool:
        """Wait for the threads' end; False when one still runs."""
        for thread in self._threads:
            thread.join(timeout_s)
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        while (found := self._next()) is not None:
            job, is_bulk = found
            try:
                job()
            except BaseException:
                _log.exception("a tokeniser job failed", extra={"event": "engine.job_failed"})
            if is_bulk:
                with self._changed:
                    self._bulk_running -= 1
                    self._changed.notify()

    def _next(self) -> tuple[Callable[[], None], bool] | None:
        with self._changed:
            while not self._is_closed:
                if self._interactive:
                    return self._interactive.popleft(), False
                if self._bulk and self._bulk_running < self._most_bulk:
                    self._bulk_running += 1
                    return self._bulk.popleft(), True
                self._changed.wait()
            return None
