from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from emberd.errors import PluginFailedError
from emberd.plugins.runner import PluginLoop, PluginThread

LONG_S = 30.0


class OwnBaseException(BaseException):
    pass


def raises(error: BaseException) -> None:
    raise error


@pytest.fixture
def thread() -> Iterator[PluginThread]:
    made = PluginThread("p")
    yield made
    made.close()


@pytest.fixture
async def loop() -> AsyncIterator[PluginLoop]:
    made = PluginLoop("p")
    yield made
    await made.close()


async def test_calls_run_in_order_on_one_other_thread(thread: PluginThread) -> None:
    order: list[int] = []
    idents = {
        await asyncio.wrap_future(
            thread.submit(lambda i=i: (order.append(i), threading.get_ident())[1])  # type: ignore[misc]
        )
        for i in range(5)
    }
    assert order == list(range(5))
    assert len(idents) == 1
    assert threading.get_ident() not in idents


@pytest.mark.parametrize(
    "error",
    [SystemExit(1), KeyboardInterrupt(), OwnBaseException(), StopIteration(), GeneratorExit()],
)
async def test_whatever_a_call_raises_the_thread_goes_on(
    thread: PluginThread, error: BaseException
) -> None:
    with pytest.raises(PluginFailedError, match=type(error).__name__):
        await thread.run(lambda: raises(error), LONG_S)
    assert await thread.run(lambda: 7, LONG_S) == 7


async def test_a_cancellation_that_a_call_raises_is_not_the_callers(thread: PluginThread) -> None:
    with pytest.raises(PluginFailedError, match="CancelledError"):
        await thread.run(lambda: raises(asyncio.CancelledError()), LONG_S)


async def test_a_call_that_hangs_times_out_and_later_ones_fail_at_once(
    thread: PluginThread,
) -> None:
    release = threading.Event()
    with pytest.raises(TimeoutError):
        await thread.run(release.wait, 0.01)
    assert thread.is_stuck
    with pytest.raises(TimeoutError, match="earlier"):
        await thread.run(lambda: 1, LONG_S)
    release.set()
    await asyncio.wrap_future(thread.submit(lambda: None))
    assert not thread.is_stuck
    assert await thread.run(lambda: 1, LONG_S) == 1


async def test_a_call_that_ran_out_of_time_in_the_queue_is_never_made(
    thread: PluginThread,
) -> None:
    release, made = threading.Event(), threading.Event()
    first = thread.submit(release.wait)
    with pytest.raises(TimeoutError):
        await thread.run(made.set, 0.01)
    release.set()
    await asyncio.wrap_future(first)
    await asyncio.wrap_future(thread.submit(lambda: None))
    assert not made.is_set()
    assert not thread.is_stuck


async def test_a_closed_thread_does_what_waits_and_refuses_more(thread: PluginThread) -> None:
    before = thread.submit(lambda: 1)
    thread.close()
    assert await asyncio.wrap_future(before) == 1
    with pytest.raises(PluginFailedError, match="closed"):
        await thread.run(lambda: 2, LONG_S)


async def test_coroutines_run_on_a_loop_of_their_own(loop: PluginLoop) -> None:
    async def work() -> object:
        return asyncio.get_running_loop()

    theirs = await loop.run(work)
    assert theirs is not asyncio.get_running_loop()
    assert await loop.run(work) is theirs


async def test_a_blocking_coroutine_does_not_block_the_caller(loop: PluginLoop) -> None:
    release = threading.Event()

    async def work() -> None:
        release.wait()

    with pytest.raises(TimeoutError):
        await loop.run(work, 0.01)
    release.set()


async def test_cancelling_the_caller_cancels_the_work(loop: PluginLoop) -> None:
    started, cancelled = threading.Event(), threading.Event()

    async def work() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    call = asyncio.create_task(loop.run(work))
    await asyncio.to_thread(started.wait)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await asyncio.to_thread(cancelled.wait, LONG_S)


@pytest.mark.parametrize("error", [SystemExit(1), OwnBaseException(), asyncio.CancelledError()])
async def test_whatever_a_coroutine_raises_the_loop_goes_on(
    loop: PluginLoop, error: BaseException
) -> None:
    async def bad() -> None:
        raise error

    async def good() -> int:
        return 7

    with pytest.raises(PluginFailedError, match=type(error).__name__):
        await loop.run(bad)
    assert await loop.run(good) == 7


async def test_an_exception_keeps_its_kind(loop: PluginLoop) -> None:
    async def bad() -> None:
        raise ValueError("as it is")

    with pytest.raises(ValueError, match="as it is"):
        await loop.run(bad)


async def test_a_task_of_the_plugins_own_that_exits_does_not_end_the_loop(
    loop: PluginLoop,
) -> None:
    async def leave() -> None:
        raise SystemExit(1)

    async def start() -> None:
        asyncio.get_running_loop().task = asyncio.create_task(leave())  # type: ignore[attr-defined]

    async def good() -> int:
        await asyncio.sleep(0)
        return 7

    await loop.run(start)
    assert await loop.run(good) == 7


async def test_an_error_that_nobody_awaits_is_told() -> None:
    told = threading.Event()
    messages: list[str] = []

    def hear(message: str) -> None:
        messages.append(message)
        told.set()

    async def fail() -> None:
        raise ValueError("behind the scenes")

    async def start() -> None:
        asyncio.create_task(fail())  # noqa: RUF006 - left alone on purpose
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    loop = PluginLoop("p", hear)
    await loop.run(start)
    assert await asyncio.to_thread(told.wait, LONG_S)
    assert "behind the scenes" in messages[0]
    await loop.close()


async def test_tasks_that_outlive_their_call_are_leaked(loop: PluginLoop) -> None:
    kept: list[asyncio.Task[None]] = []
    release = asyncio.Event()

    async def leak() -> None:
        kept.extend(asyncio.create_task(asyncio.sleep(LONG_S)) for _ in range(20))

    async def busy() -> None:
        await asyncio.gather(release.wait(), *(asyncio.sleep(0) for _ in range(20)))

    await loop.run(leak)
    assert loop.leaked_tasks == 20
    call = asyncio.create_task(loop.run(busy))
    await asyncio.sleep(0)
    assert loop.leaked_tasks <= 21  # those of a call under way are none
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)


async def test_a_closed_loop_has_cancelled_its_tasks(loop: PluginLoop) -> None:
    kept: list[asyncio.Task[None]] = []

    async def leak() -> None:
        kept.append(asyncio.create_task(asyncio.sleep(LONG_S)))

    await loop.run(leak)
    await loop.close()
    assert kept[0].cancelled()
    with pytest.raises(PluginFailedError, match="closed"):
        await loop.run(leak)


async def test_closing_leaves_a_blocked_loop_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emberd.plugins.runner._CLOSE_S", 0.05)
    loop = PluginLoop("p")
    release = threading.Event()

    async def block() -> None:
        release.wait()

    with pytest.raises(TimeoutError):
        await loop.run(block, 0.01)
    started = time.monotonic()
    await loop.close()
    assert time.monotonic() - started < LONG_S
    release.set()
