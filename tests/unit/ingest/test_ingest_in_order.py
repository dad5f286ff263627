"""Work on threads, results in order."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from emberd.ingest.in_order import in_order

WAIT_S = 30.0


def test_results_come_in_the_order_of_the_items_whichever_is_first() -> None:
    def work(number: int) -> int:
        time.sleep(0.001 * (number % 3))
        return number * 2

    found = list(in_order(work, range(40), threads=4, ahead=8, name="t"))
    assert found == [number * 2 for number in range(40)]


def test_what_the_work_raises_is_raised_in_its_turn() -> None:
    def work(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    results = in_order(work, range(10), threads=4, ahead=4, name="t")
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)


def test_no_more_are_begun_than_may_wait() -> None:
    begun: list[int] = []
    results = in_order(begun.append, range(100), threads=2, ahead=5, name="t")
    next(results)
    assert len(begun) <= 5
    results.close()
    assert len(begun) <= 6


def test_ctrl_c_that_another_thread_takes_ends_the_wait() -> None:
    release = threading.Event()

    def work(_number: int) -> None:
        this = threading.current_thread().ident
        assert this is not None
        time.sleep(0.3)  # the main thread sleeps by now, and the signal does not wake it
        signal.pthread_kill(this, signal.SIGINT)
        release.wait(WAIT_S)

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(in_order(work, [1], threads=1, ahead=1, name="t"))
    assert not release.is_set()
    release.set()
    assert time.monotonic() - started < WAIT_S
