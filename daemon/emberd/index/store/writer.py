"""The writer's thread: takes what waits, commits it as one group, takes the next.

So a hundred clients that write one document each share one fsync.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from emberd.errors import ShuttingDownError
from emberd.index.store.committer import Committer, Job
from emberd.index.store.transaction import Transaction

__all__ = ["Writer"]

T = TypeVar("T")

# Jobs of one transaction: bounds how long the first waits for the last.
_GROUP_JOBS = 64


@dataclass(frozen=True, slots=True)
class _Alone:
    """Work outside of any transaction, with no other write beside it."""

    run: Callable[[Committer], Any]
    future: Future[Any]


class Writer:
    """One collection's only writer. Results are futures; no caller waits here."""

    def __init__(self, committer: Committer, name: str) -> None:
        self._committer = committer
        self._changed = threading.Condition()
        self._queue: deque[Job | _Alone] = deque()
        self._is_closing = False
        self._thread = threading.Thread(target=self._work, name=f"index-{name}", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[Transaction], T]) -> Future[T]:
        """Do `work` in a transaction; the future is done when it is on the disk.

        Raises ShuttingDownError after `close`.
        """
        future: Future[T] = Future()
        self._put((work, future))
        return future

    def submit_alone(self, run: Callable[[Committer], T]) -> Future[T]:
        """Do something between two transactions. Raises ShuttingDownError after `close`."""
        future: Future[T] = Future()
        self._put(_Alone(run, future))
        return future

    def close(self) -> None:
        """Finish what waits, close the files, end the thread."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join()

    def _put(self, entry: Job | _Alone) -> None:
        with self._changed:
            if self._is_closing:
                raise ShuttingDownError("The collection is being closed; try again.")
            self._queue.append(entry)
            self._changed.notify()

    def _work(self) -> None:
        while (entry := self._next()) is not None:
            if isinstance(entry, _Alone):
                _run_alone(entry, self._committer)
            elif entry:
                self._committer.run(entry)
        self._committer.close()

    def _next(self) -> list[Job] | _Alone | None:
        """A group of jobs whose callers still wait, or work that runs alone; None at the end."""
        with self._changed:
            while not self._queue and not self._is_closing:
                self._changed.wait()
            if not self._queue:
                return None
            jobs: list[Job] = []
            while self._queue and len(jobs) < _GROUP_JOBS:
                entry = self._queue[0]
                if isinstance(entry, _Alone):
                    if not jobs:
                        self._queue.popleft()
                        return entry
                    break
                self._queue.popleft()
                if entry[1].set_running_or_notify_cancel():
                    jobs.append(entry)
            return jobs


def _run_alone(entry: _Alone, committer: Committer) -> None:
    if not entry.future.set_running_or_notify_cancel():
        return
    try:
        entry.future.set_result(entry.run(committer))
    except Exception as exc:  # whoever asked for it hears of it
        entry.future.set_exception(exc)
