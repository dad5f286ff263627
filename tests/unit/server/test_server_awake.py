"""Staying awake between requests, with a clock of the test's own; moving, with the real one."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

from emberd.server.awake import Awake, Place, move_elsewhere, processor

AWAKE_S = 400e-6


class Clock:
    """Time passes when somebody gives way, and when the test says so."""

    def __init__(self, step_s: float = 1e-6) -> None:
        self.now = 0.0
        self.step_s = step_s

    def __call__(self) -> float:
        return self.now

    def give_way(self) -> None:
        self.now += self.step_s


class Loop:
    """An `Awake` whose loop can be let run for some time."""

    def __init__(self, *, processors: int = 2) -> None:
        self.clock = Clock()
        self.is_working = False
        place = Place(clock=self.clock, give_way=self.clock.give_way, move=lambda: None)
        self.awake = Awake(
            AWAKE_S,
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

    async def heard_in_vain(self) -> bool:
        """Whether a lone request kept the loop awake."""
        self.awake.heard()
        was_awake = self.awake.is_polling
        await self.run(1.0)
        return was_awake

    async def rests(self) -> int:
        """Requests until one keeps it awake again."""
        count = 0
        while not await self.heard_in_vain():
            count += 1
        return count


async def test_the_loop_is_awake_for_a_moment_after_a_request() -> None:
    loop = Loop()
    loop.awake.heard()
    await loop.run(AWAKE_S * 0.9)
    assert loop.awake.is_polling
    await loop.run(AWAKE_S * 0.2)
    assert not loop.awake.is_polling


async def test_each_request_keeps_it_awake_anew() -> None:
    loop = Loop()
    for _ in range(10):
        loop.awake.heard()
        await loop.run(AWAKE_S * 0.9)
        assert loop.awake.is_polling
    await loop.run(AWAKE_S)
    assert not loop.awake.is_polling


async def test_it_rests_longer_and_longer_after_requests_that_nothing_follows() -> None:
    loop = Loop()
    assert await loop.heard_in_vain()
    assert [await loop.rests() for _ in range(5)] == [8, 16, 32, 64, 64]


async def test_a_request_that_follows_soon_ends_that() -> None:
    loop = Loop()
    assert await loop.heard_in_vain()
    assert await loop.rests() == 8
    assert await loop.rests() == 16
    for _ in range(32):
        assert not await loop.heard_in_vain()
    loop.awake.heard()
    await loop.run(AWAKE_S / 2)
    loop.awake.heard()
    await loop.run(1.0)
    assert await loop.heard_in_vain()
    assert await loop.rests() == 8


async def test_work_needs_the_processor_more() -> None:
    loop = Loop()
    loop.is_working = True
    loop.awake.heard()
    assert not loop.awake.is_polling
    loop.is_working = False
    loop.awake.heard()
    assert loop.awake.is_polling
    loop.is_working = True
    await asyncio.sleep(0)
    assert not loop.awake.is_polling


async def test_a_lone_processor_is_the_clients() -> None:
    loop = Loop(processors=1)
    loop.awake.heard()
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
    assert moves(Clock(50e-6), 2) == 0
    assert moves(Clock(50e-6), 10) == 1


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
