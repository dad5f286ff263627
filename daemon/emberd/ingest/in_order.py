"""Work on threads, its results in the order of its items."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Final, TypeVar

__all__ = ["in_order"]

# A signal that comes just before a thread goes to sleep on a lock does not wake it again.
_SIGNAL_CHECK_S: Final = 0.5

T = TypeVar("T")
R = TypeVar("R")


def in_order(
    work: Callable[[T], R], items: Iterable[T], *, threads: int, ahead: int, name: str
) -> Generator[R, None, None]:
    """`work` of each item, at most `ahead` of them begun and not taken.

    Raises what the work raises. Where the caller goes away (Ctrl-C), nothing new is begun; what
    is under way is not waited for.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= ahead:
                yield _result(waiting.popleft())
        while waiting:
            yield _result(waiting.popleft())
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _result(future: Future[R]) -> R:
    """Its result, or Ctrl-C within half a second."""
    while True:
        done, _ = wait([future], timeout=_SIGNAL_CHECK_S)
        if done:
            return future.result()
