"""The tokeniser's worker threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from emberd.engine.lanes import LanePool

BOUND_S = 20


class Held:
    """A job that runs until it is let go."""

    def __init__(self) -> None:
        self.has_begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.has_begun.set()
        assert self.may_end.wait(BOUND_S)


@pytest.fixture
def pool() -> Iterator[LanePool]:
    made = LanePool("test", 2)
    made.start()
    yield made
    made.close()
    assert made.join(BOUND_S)


def test_bulk_jobs_leave_a_thread_for_interactive_ones(pool: LanePool) -> None:
    bulk, second, query = Held(), Held(), threading.Event()
    pool.put(bulk, bulk=True)
    pool.put(second, bulk=True)
    assert bulk.has_begun.wait(BOUND_S)
    pool.put(query.set)
    assert query.wait(BOUND_S)
    assert not second.has_begun.is_set()
    bulk.may_end.set()
    assert second.has_begun.wait(BOUND_S)
    second.may_end.set()


def test_a_job_that_raises_ends_no_thread(pool: LanePool, caplog: pytest.LogCaptureFixture) -> None:
    done = threading.Semaphore(0)

    def fail() -> None:
        done.release()
        raise SystemExit

    for _ in range(6):
        pool.put(fail, bulk=True)
    last = threading.Event()
    for _ in range(6):
        assert done.acquire(timeout=BOUND_S)
    pool.put(last.set, bulk=True)
    assert last.wait(BOUND_S)


def test_a_closed_pool_takes_no_job() -> None:
    pool = LanePool("test", 2)
    pool.start()
    pool.close()
    pool.put(lambda: pytest.fail("ran"))
    assert pool.join(BOUND_S)
