"""Staying awake between requests, with a clock of the test's own; moving, with the real one."""

from __future__ import annotations

import asyncio
import itertools
import os
import threading

import numpy as np
import pytest

from emberd.server.awake import Awake, Place, move_elsewhere, processor

AWAKE_S = 400e-6


class Clock:
    """Time passes when somebody looks at it or gives way, and when the test says so."""

    def __init__(self, step_s: float = 1e-6) -> None:
        self.now = 0.0
        self.step_s = step_s
        self.gave_way: list[float] = []

    def __call__(self) -> float:
        self.now += 1e-7
        return self.now

    def give_way(self) -> None:
        self.gave_way.append(self.now)
        self.wait(self.step_s)

    def wait(self, seconds: float) -> None:
        self.now += seconds


class Loop:
    """An `Awake` whose loop can be let run for some time."""

    def __init__(self, *, processors: int = 2, awake_s: float = AWAKE_S) -> None:
        self.clock = Clock()
        self.is_working = False
        place = Place(clock=self.clock, give_way=self.clock.give_way, move=lambda: None)
        self.awake = Awake(
            awake_s,
            lambda: self.is_working,
            clock=self.clock,
            processors=processors,
            place=place,
        )

    async def run(self, seconds: float) -> None:
        until = self.clock.now + seconds
        while self.awake.is_polling and self.clock.now < until:  # noqa: ASYNC110 - turns are meant
            await asyncio.sleep(0)
        self.clock.now = until

    async def request(self, after_s: float) -> bool:
        """A request so long after the last answer; whether the loop was awake when it came."""
        await self.run(after_s)
        was_awake = self.awake.is_polling
        self.awake.asked()
        self.awake.answered()
        return was_awake


async def test_who_asks_now_and_then_does_not_keep_the_loop_awake() -> None:
    loop = Loop()
    for _ in range(20):
        assert not await loop.request(after_s=2 * AWAKE_S)
        assert not loop.awake.is_polling


async def test_the_loop_is_awake_for_who_asks_again_soon() -> None:
    loop = Loop()
    was_awake = [await loop.request(after_s=AWAKE_S / 4) for _ in range(10)]
    assert was_awake == [False] * 2 + [True] * 8


async def test_it_sleeps_when_nothing_more_comes() -> None:
    loop = Loop()
    for _ in range(5):
        await loop.request(after_s=AWAKE_S / 4)
    await loop.run(AWAKE_S * 0.9)
    assert loop.awake.is_polling
    await loop.run(AWAKE_S * 0.2)
    assert not loop.awake.is_polling
    assert not await loop.request(after_s=AWAKE_S * 2)
    assert not loop.awake.is_polling


async def test_others_get_the_processor_now_and_then_while_it_is_awake() -> None:
    loop = Loop()
    for _ in range(5):
        await loop.request(after_s=AWAKE_S / 4)
    waits = np.diff(loop.clock.gave_way)
    assert len(waits) > 10
    assert waits.min() > 3e-6
    assert np.median(waits) < 10e-6


async def test_an_answer_that_took_long_counts_from_its_end() -> None:
    loop = Loop()
    for _ in range(3):
        await loop.run(AWAKE_S / 4)
        loop.awake.asked()
        loop.clock.now += 5.0
        loop.awake.answered()
    assert loop.awake.is_polling


async def test_an_answer_that_took_some_time_is_waited_for_longer() -> None:
    loop = Loop()
    for _ in range(3):
        await loop.run(2 * AWAKE_S)
        loop.awake.asked()
        loop.clock.now += AWAKE_S
        loop.awake.answered()
    assert loop.awake.is_polling
    await loop.run(2 * AWAKE_S)
    assert loop.awake.is_polling
    await loop.run(10 * AWAKE_S)
    assert not loop.awake.is_polling


async def test_work_needs_the_processor_more() -> None:
    loop = Loop()
    loop.is_working = True
    for _ in range(5):
        await loop.request(after_s=AWAKE_S / 4)
        assert not loop.awake.is_polling
    loop.is_working = False
    await loop.request(after_s=AWAKE_S / 4)
    assert loop.awake.is_polling
    loop.is_working = True
    await asyncio.sleep(0)
    assert not loop.awake.is_polling


async def test_a_lone_processor_is_the_clients() -> None:
    loop = Loop(processors=1)
    for _ in range(5):
        assert not await loop.request(after_s=AWAKE_S / 4)


async def test_it_can_be_turned_off() -> None:
    loop = Loop(awake_s=0.0)
    for _ in range(5):
        await loop.request(after_s=0.0)
        assert not loop.awake.is_polling


def moves(place_clock: Clock, times: int) -> int:
    moved = []
    place = Place(
        clock=place_clock, give_way=place_clock.give_way, move=lambda: moved.append(place_clock.now)
    )
    for _ in range(times):
        place.give_way()
    return len(moved)


def test_a_thread_that_is_alone_stays() -> None:
    assert moves(Clock(1e-6), 1_000) == 0


def test_a_thread_that_has_to_wait_again_and_again_moves() -> None:
    assert moves(Clock(30e-6), 3) == 0
    assert moves(Clock(30e-6), 10) == 1


def test_a_thread_that_has_to_wait_for_long_moves_at_once() -> None:
    assert moves(Clock(200e-6), 1) == 1


def test_short_waits_that_lie_far_apart_are_forgotten() -> None:
    clock = Clock()
    steps = itertools.cycle([20e-6, *[1e-6] * 99])
    place = Place(
        clock=clock,
        give_way=lambda: clock.wait(next(steps)),
        move=lambda: pytest.fail("it is alone"),
    )
    for _ in range(5_000):
        place.give_way()


def test_it_stays_there_for_a_while() -> None:
    assert moves(Clock(50e-6), 200) == pytest.approx(10, abs=1)


def test_a_thread_that_may_not_move_runs_on() -> None:
    def refuse() -> None:
        raise PermissionError

    clock = Clock(50e-6)
    place = Place(clock=clock, give_way=clock.give_way, move=refuse)
    for _ in range(100):
        place.give_way()


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="there is no other processor",
)
def test_moving_takes_the_thread_to_another_processor_and_binds_it_to_none() -> None:
    seen: list[tuple[int, int]] = []
    allowed: list[set[int]] = []

    def run() -> None:
        for _ in range(20):
            before = processor()
            move_elsewhere()
            seen.append((before, processor()))
        allowed.append(os.sched_getaffinity(0))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    # The system may move it, too.
    assert sum(before != after for before, after in seen) > 10
    assert allowed == [os.sched_getaffinity(0)]
