"""Where a plugin's code runs: a thread, and for coroutines an event loop, of its own."""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar, cast

from emberd.errors import PluginFailedError
from emberd.plugins.faults import contained, in_words

__all__ = ["PluginLoop", "PluginThread"]

T = TypeVar("T")

_CLOSE_S = 2.0


class PluginThread:
    """One daemon thread that does calls in the order they came; it starts with the first one.

    Whatever a call raises is in its future as an Exception. A call that hangs holds up this
    plugin's alone, and does not keep the process from ending.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = (
            queue.SimpleQueue()
        )
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._late: Future[Any] | None = None
        self._is_closed = False

    @property
    def is_stuck(self) -> bool:
        """A call that ran out of time is still going on."""
        return self._late is not None and not self._late.done()

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """The future of `work()`; PluginFailedError in it after `close`."""
        future: Future[T] = Future()
        with self._lock:
            if self._is_closed:
                future.set_exception(PluginFailedError(f"The plugin {self._name!r} is closed."))
                return future
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name=f"plugin-{self._name}", daemon=True
                )
                self._thread.start()
            self._jobs.put((work, future))
        return future

    async def run(self, work: Callable[[], T], timeout_s: float) -> T:
        """The result of `work()`, or what it raises. Raises TimeoutError after `timeout_s`, and at
        once while an earlier call that ran out of time still goes on (`is_stuck`)."""
        if self.is_stuck:
            raise TimeoutError(f"an earlier call of the plugin {self._name!r} still goes on")
        future = self.submit(work)
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            if not future.done():
                self._late = future
            raise

    def close(self) -> None:
        """End the thread after the calls that wait; does not wait for it. Idempotent."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._jobs.put(None)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            work, future = job
            if future.set_running_or_notify_cancel():
                _settle(work, future)
            del job, work, future  # a result must not live until the next call


def _settle(work: Callable[[], T], future: Future[T]) -> None:
    try:
        result = work()
    except BaseException as exc:  # nothing may end the thread
        future.set_exception(contained(exc))
    else:
        future.set_result(result)


def _ignore(_message: str) -> None:
    """Nobody asked to be told."""


_CALL: contextvars.ContextVar[object | None] = contextvars.ContextVar("plugin_call", default=None)


class PluginLoop:
    """An event loop on a daemon thread of its own; it starts with the first call.

    A plugin that blocks it, or that raises SystemExit in a task of its own, harms itself alone.
    `on_error` hears, on that thread, of what such a task raises when nobody awaits it.
    """

    def __init__(self, name: str, on_error: Callable[[str], None] = _ignore) -> None:
        self._name = name
        self._on_error = on_error
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._calls: set[object] = set()
        self._owners: weakref.WeakKeyDictionary[asyncio.Task[Any], object | None] = (
            weakref.WeakKeyDictionary()
        )
        self._is_closed = False

    @property
    def leaked_tasks(self) -> int:
        """Tasks alive there that belong to no call under way. Safe from any thread."""
        with self._lock:
            owners = list(self._owners.items())
            calls = set(self._calls)
        return sum(not task.done() and owner not in calls for task, owner in owners)

    async def run(
        self, work: Callable[[], Coroutine[Any, Any, T]], timeout_s: float | None = None
    ) -> T:
        """The result of the coroutine, or what it raises, as an Exception. Raises TimeoutError
        after `timeout_s`. Cancelling the caller cancels the work there, and waits for nothing."""
        loop = self._started()
        future = asyncio.run_coroutine_threadsafe(self._contained(work), loop)
        async with asyncio.timeout(timeout_s):
            return await asyncio.wrap_future(future)

    async def close(self) -> None:
        """Cancel what is left and end the thread, or leave it behind where it is blocked."""
        with self._lock:
            if self._is_closed or self._loop is None or self._thread is None:
                self._is_closed = True
                return
            self._is_closed = True
            loop, thread = self._loop, self._thread
        loop.call_soon_threadsafe(loop.stop)
        await asyncio.to_thread(thread.join, _CLOSE_S)

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._is_closed:
                raise PluginFailedError(f"The plugin {self._name!r} is closed.")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._loop.set_task_factory(self._make_task)
                self._loop.set_exception_handler(self._unhandled)
                self._thread = threading.Thread(
                    target=self._run,
                    args=(self._loop,),
                    name=f"plugin-loop-{self._name}",
                    daemon=True,
                )
                self._thread.start()
            return self._loop

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        while not self._is_closed:
            # SystemExit or KeyboardInterrupt in a task of the plugin's own ends run_forever.
            with suppress(BaseException):
                loop.run_forever()
        with suppress(BaseException):
            loop.run_until_complete(self._sweep())
        with suppress(BaseException):
            loop.close()

    def _unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if (error := context.get("exception")) is not None and not self._is_closed:
            self._on_error(f"a task that nobody awaits: {in_words(error)}")

    async def _sweep(self) -> None:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=_CLOSE_S / 2)
        await asyncio.get_running_loop().shutdown_asyncgens()

    def _make_task(
        self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any
    ) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=loop, **options)
        with self._lock:
            self._owners[task] = _CALL.get()
        return task

    async def _contained(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        call = object()
        task = cast(asyncio.Task[Any], asyncio.current_task())
        with self._lock:
            self._calls.add(call)
            self._owners[task] = call
        _CALL.set(call)
        try:
            return await work()
        except asyncio.CancelledError as exc:
            if task.cancelling():
                raise
            raise contained(exc) from exc  # the plugin's own, which is not the caller's
        except GeneratorExit:
            raise
        except BaseException as exc:  # SystemExit would end the loop
            if (error := contained(exc)) is exc:
                raise
            raise error from exc
        finally:
            with self._lock:
                self._calls.discard(call)
