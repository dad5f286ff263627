from __future__ import annotations

import asyncio
import gc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emberd.cache.flight import Flights
from emberd.errors import CancelledRequestError, OverloadedError

Future = asyncio.Future


def works(count: int) -> list[Future[int]]:
    loop = asyncio.get_running_loop()
    return [loop.create_future() for _ in range(count)]


async def test_many_who_ask_share_one_computation():
    flights: Flights[str, int] = Flights()
    first, leads = flights.join(["a", "b"])
    second, follows = flights.join(["b", "a", "b"])
    assert (leads, follows) == ([0, 1], [])
    started = works(2)
    flights.launch(["a", "b"], started)
    started[0].set_result(1)
    started[1].set_result(2)
    assert await asyncio.gather(*first) == [1, 2]
    assert await asyncio.gather(*second) == [2, 1, 2]
    assert len(flights) == 0


async def test_a_key_that_repeats_in_one_request_is_led_once():
    flights: Flights[str, int] = Flights()
    futures, leads = flights.join(["a", "b", "a"])
    assert leads == [0, 1]
    assert len(set(map(id, futures))) == 3


async def test_after_the_landing_the_next_one_leads_again():
    flights: Flights[str, int] = Flights()
    futures, _ = flights.join(["a"])
    (work,) = works(1)
    flights.launch(["a"], [work])
    work.set_result(1)
    await futures[0]
    assert flights.join(["a"])[1] == [0]


async def test_a_waiter_that_leaves_cancels_nothing_for_the_others():
    flights: Flights[str, int] = Flights()
    (leader,), _ = flights.join(["a"])
    (follower,), _ = flights.join(["a"])
    (work,) = works(1)
    flights.launch(["a"], [work])
    leader.cancel()
    await asyncio.sleep(0)
    assert not work.cancelled()
    work.set_result(7)
    assert await follower == 7


async def test_when_the_last_waiter_leaves_the_computation_is_cancelled():
    flights: Flights[str, int] = Flights()
    (leader,), _ = flights.join(["a"])
    (follower,), _ = flights.join(["a"])
    (work,) = works(1)
    flights.launch(["a"], [work])
    leader.cancel()
    follower.cancel()
    await asyncio.sleep(0)
    assert work.cancelled()
    assert len(flights) == 0
    assert flights.join(["a"])[1] == [0]


async def test_cancelling_a_task_that_awaits_is_leaving():
    flights: Flights[str, int] = Flights()
    (leader,), _ = flights.join(["a"])
    (follower,), _ = flights.join(["a"])
    (work,) = works(1)
    flights.launch(["a"], [work])

    async def wait() -> int:
        return await leader

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    work.set_result(3)
    assert await follower == 3


async def test_a_computation_that_everyone_left_before_its_start_is_cancelled_at_once():
    flights: Flights[str, int] = Flights()
    (leader,), _ = flights.join(["a"])
    leader.cancel()
    await asyncio.sleep(0)
    (work,) = works(1)
    flights.launch(["a"], [work])
    assert work.cancelled()


async def test_who_joins_while_the_last_one_leaves_is_served():
    flights: Flights[str, int] = Flights()
    (leader,), _ = flights.join(["a"])
    (work,) = works(1)
    flights.launch(["a"], [work])
    leader.cancel()  # its callback has not run yet
    (late,), leads = flights.join(["a"])
    assert leads == []
    await asyncio.sleep(0)
    work.set_result(5)
    assert await late == 5


async def test_an_exception_reaches_everyone():
    flights: Flights[str, int] = Flights()
    first, _ = flights.join(["a"])
    second, _ = flights.join(["a"])
    (work,) = works(1)
    flights.launch(["a"], [work])
    work.set_exception(OverloadedError("full"))
    for future in (*first, *second):
        with pytest.raises(OverloadedError):
            await future


async def test_a_start_that_fails_reaches_everyone():
    flights: Flights[str, int] = Flights()
    first, leads = flights.join(["a", "b"])
    second, _ = flights.join(["b"])
    flights.fail([["a", "b"][at] for at in leads], OverloadedError("full"))
    for future in (*first, *second):
        with pytest.raises(OverloadedError):
            await future
    assert len(flights) == 0


async def test_a_computation_cancelled_from_elsewhere_is_an_error_to_retry():
    flights: Flights[str, int] = Flights()
    (future,), _ = flights.join(["a"])
    (work,) = works(1)
    flights.launch(["a"], [work])
    work.cancel()
    with pytest.raises(CancelledRequestError) as caught:
        await future
    assert caught.value.is_retryable


async def test_an_exception_nobody_fetches_makes_no_noise():
    noise: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: noise.append(context))
    flights: Flights[str, int] = Flights()
    flights.launch(*_failing(flights))
    await asyncio.sleep(0)
    gc.collect()
    await asyncio.sleep(0)
    assert noise == []


def _failing(flights: Flights[str, int]) -> tuple[list[str], list[Future[int]]]:
    flights.join(["a"])
    flights.join(["a"])
    (work,) = works(1)
    work.set_exception(ValueError("nobody cares"))
    return ["a"], [work]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from("jcsf"), st.integers(0, 3)), max_size=40))
def test_every_waiter_is_settled_and_no_flight_is_left_over(script):
    asyncio.run(_play(script))


async def _play(script: list[tuple[str, int]]) -> None:
    flights: Flights[int, int] = Flights()
    waiters: list[tuple[int, Future[int]]] = []
    running: dict[int, Future[int]] = {}
    for action, name in script:
        if action == "j":
            (future,), leads = flights.join([name])
            waiters.append((name, future))
            if leads:
                running[name] = works(1)[0]
                flights.launch([name], [running[name]])
        elif action == "c" and waiters:
            waiters[name % len(waiters)][1].cancel()
        elif action in "sf" and name in running and not running[name].done():
            if action == "s":
                running[name].set_result(name)
            else:
                running[name].set_exception(ValueError(str(name)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    for work in running.values():
        if not work.done():
            work.set_result(-1)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(flights) == 0
    assert all(future.done() for _, future in waiters)
    for name, future in waiters:
        if not future.cancelled() and future.exception() is None:
            assert future.result() in (name, -1)
