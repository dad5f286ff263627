"""What only the asyncio client has to care about: cancellation, event loops, async sources."""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvloop
from client_daemon import TestDaemon, deaf_listener, snapshot, vectors_of_texts

from emberd.client import AsyncClient
from emberd.errors import InvalidRequestError, RequestTimeoutError


@pytest.fixture
async def asynchronous(daemon: TestDaemon) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(daemon.address, timeout_s=20) as client:
        yield client


async def seen(daemon: TestDaemon, *args: Any) -> None:
    await asyncio.to_thread(daemon.wait_asked, *args)


async def test_a_cancelled_call_tells_the_daemon_and_harms_nobody(
    daemon: TestDaemon, asynchronous: AsyncClient
) -> None:
    gate = daemon.gate()

    async def embed(params: dict[str, Any]) -> Any:
        await gate.wait()
        return daemon.embed(params)

    daemon.handlers["embed"] = embed
    other = asyncio.create_task(asynchronous.embed("b"))
    call = asyncio.create_task(asynchronous.embed("a"))
    await seen(daemon, "embed", 2)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.to_thread(daemon.wait_until, lambda: len(daemon.cancelled) == 1)
    gate.open()
    np.testing.assert_array_equal(await other, vectors_of_texts(["b"])[0])
    assert await asynchronous.ping() == "pong"
    assert daemon.connections == 1


async def test_a_cancelled_large_call_gives_up_all_its_parts(
    daemon: TestDaemon, asynchronous: AsyncClient
) -> None:
    daemon.handlers["embed"] = lambda params: daemon.gate().wait()
    call = asyncio.create_task(asynchronous.embed([str(number) for number in range(300)]))
    await seen(daemon, "embed", 3)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.to_thread(daemon.wait_until, lambda: len(daemon.cancelled) == 3)


async def test_a_timeout_of_the_callers_own_works_as_a_cancellation(
    daemon: TestDaemon, asynchronous: AsyncClient
) -> None:
    daemon.handlers["embed"] = lambda params: daemon.gate().wait()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await asynchronous.embed("a")
    await asyncio.to_thread(daemon.wait_until, lambda: len(daemon.cancelled) == 1)
    assert await asynchronous.ping() == "pong"


async def test_a_call_cancelled_while_it_connects_leaves_no_socket(folder: Path) -> None:
    listener = deaf_listener(folder / "deaf.sock")
    client = AsyncClient(folder / "deaf.sock")
    call = asyncio.create_task(client.ping())
    listener.setblocking(False)
    peer, _ = await asyncio.get_running_loop().sock_accept(listener)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    listener.close()
    peer.close()  # ends the greeting on its thread; a leaked socket would be a warning
    await asyncio.get_running_loop().shutdown_default_executor()
    await client.close()


async def test_many_tasks_make_one_connection(
    daemon: TestDaemon, asynchronous: AsyncClient
) -> None:
    texts = [str(number) for number in range(200)]
    vectors = await asyncio.gather(*map(asynchronous.embed, texts))
    np.testing.assert_array_equal(np.array(vectors), vectors_of_texts(texts))
    assert daemon.connections == 1


async def test_texts_may_arrive_over_time(daemon: TestDaemon, asynchronous: AsyncClient) -> None:
    texts = [str(number) for number in range(1_100)]

    async def arriving() -> AsyncIterator[str]:
        for text in texts:
            yield text

    vectors = [vector async for vector in asynchronous.embed_iter(arriving())]
    np.testing.assert_array_equal(np.array(vectors), vectors_of_texts(texts))


async def test_writing_waits_while_the_daemon_does_not_read(
    daemon: TestDaemon, asynchronous: AsyncClient
) -> None:
    assert await asynchronous.ping() == "pong"
    await asyncio.to_thread(daemon.stop_reading)
    texts = [f"{number} " + "x" * 1_000_000 for number in range(4)]
    large = asyncio.create_task(asynchronous.embed(texts))
    await asyncio.sleep(0)  # the transport's buffer is full now
    with pytest.raises(RequestTimeoutError):
        await asynchronous.ping(timeout_s=0.05)
    assert [method for method, _ in daemon.asked] == ["ping"]
    await asyncio.to_thread(daemon.resume_reading)
    np.testing.assert_array_equal(await large, vectors_of_texts(texts))


async def test_leaving_a_subscription_ends_it_and_keeps_the_connection(
    daemon: TestDaemon, asynchronous: AsyncClient
) -> None:
    daemon.handlers["stats.subscribe"] = lambda params: {"subscription": 7}
    snapshots = asynchronous.subscribe()
    waiting = asyncio.ensure_future(anext(snapshots))
    await seen(daemon, "stats.subscribe")
    await asyncio.to_thread(daemon.push, snapshot(1))
    assert (await waiting).sequence == 1
    waiting = asyncio.ensure_future(anext(snapshots))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await seen(daemon, "stats.unsubscribe")
    assert daemon.asked[-1] == ("stats.unsubscribe", {})
    assert await asynchronous.ping() == "pong"
    assert daemon.connections == 1


async def test_a_subscription_that_is_given_up_before_it_begins_is_ended_too(
    daemon: TestDaemon, asynchronous: AsyncClient
) -> None:
    await asynchronous.ping()
    await asyncio.to_thread(daemon.stop_reading)
    waiting = asyncio.ensure_future(anext(asynchronous.subscribe()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.to_thread(daemon.resume_reading)
    await seen(daemon, "stats.unsubscribe")


async def test_a_second_subscription_has_a_connection_of_its_own(
    daemon: TestDaemon, asynchronous: AsyncClient
) -> None:
    daemon.handlers["stats.subscribe"] = lambda params: {"subscription": 1}
    subscriptions = [asynchronous.subscribe() for _ in range(2)]
    waiting = [asyncio.ensure_future(anext(each)) for each in subscriptions]
    await asyncio.to_thread(daemon.wait_until, lambda: len(daemon.asked) == 2)
    await asyncio.to_thread(daemon.push, snapshot(1))
    assert [found.sequence for found in await asyncio.gather(*waiting)] == [1, 1]
    await subscriptions[1].aclose()
    await asyncio.to_thread(daemon.wait_until, lambda: daemon.open_connections == 1)
    waiting = [asyncio.ensure_future(anext(subscriptions[0]))]
    await asyncio.to_thread(daemon.push, snapshot(2))
    assert (await waiting[0]).sequence == 2
    await subscriptions[0].aclose()


async def test_a_subscription_begins_with_what_comes_after_it(
    daemon: TestDaemon, asynchronous: AsyncClient
) -> None:
    daemon.handlers["stats.subscribe"] = lambda params: {"subscription": 1}
    await asynchronous.ping()
    await asyncio.to_thread(daemon.push, snapshot(1))  # of a subscription that has ended
    await asynchronous.ping()
    snapshots = asynchronous.subscribe()
    waiting = asyncio.ensure_future(anext(snapshots))
    await seen(daemon, "stats.subscribe")
    await asyncio.to_thread(daemon.push, snapshot(2))
    assert (await waiting).sequence == 2
    await snapshots.aclose()


async def test_a_client_closed_while_it_connects_stays_closed(daemon: TestDaemon) -> None:
    client = AsyncClient(daemon.address)
    call = asyncio.create_task(client.ping())
    await asyncio.sleep(0)
    await client.close()
    with pytest.raises(InvalidRequestError, match="closed"):
        await call
    await asyncio.to_thread(daemon.wait_until, lambda: daemon.open_connections == 0)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_client_may_be_used_from_one_event_loop_after_another(daemon: TestDaemon) -> None:
    client = AsyncClient(daemon.address)

    async def use() -> str:
        return await client.ping()

    assert [asyncio.run(use()) for _ in range(3)] == ["pong"] * 3
    assert daemon.connections == 3

    async def use_and_close() -> str:
        async with client:
            return await client.ping()

    assert asyncio.run(use_and_close()) == "pong"
    gc.collect()  # what the ended loops left open is warned of here, and in no other test


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_the_client_runs_on_uvloop(folder: Path, transport: str) -> None:
    daemon = TestDaemon(folder, tcp_token="t" if transport == "tcp" else "").start()

    async def use() -> None:
        async with AsyncClient(daemon.address, token=daemon.tcp_token or None) as client:
            texts = [str(number) for number in range(1_500)]
            np.testing.assert_array_equal(await client.embed(texts), vectors_of_texts(texts))
            found = [vector async for vector in client.embed_iter(itertools.repeat("a", 3))]
            assert len(found) == 3
            daemon.handlers["embed"] = lambda params: daemon.gate().wait()
            with pytest.raises(RequestTimeoutError):
                await client.embed("a", timeout_s=0.05)

    try:
        uvloop.run(use())
        daemon.wait_until(lambda: daemon.open_connections == 0)
    finally:
        daemon.stop()
