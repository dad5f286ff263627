"""One connection: requests in, replies out, with bounds on everything a peer can make us hold."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from types import CoroutineType
from typing import Any, cast

from emberd.config import LimitSettings
from emberd.errors import (
    CancelledRequestError,
    EmberdError,
    InternalError,
    ShuttingDownError,
)
from emberd.server.awake import Awake
from emberd.server.outbox import Outbox
from emberd.server.peer import is_same_user, peer_of
from emberd.service.api import METHODS
from emberd.service.callers import Caller
from emberd.service.observation import Observation, amounts_of
from emberd.service.request_log import RequestLog
from emberd.service.service import Service
from emberd.service.statistics import Statistics
from emberd.service.trace import CURRENT, Trace
from emberd.telemetry import EventLog
from emberd.wire.connection import ServerConnection, ServerEvent
from emberd.wire.messages import CANCEL, HELLO, Malformed, Notification, Request

__all__ = ["Session", "Shared"]

_EVENTS_A_TURN = 128  # then others get the event loop: tiny requests cost some 10 us each
_HELLO_S = 10.0

log = logging.getLogger("emberd")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What all sessions share."""

    service: Service
    limits: LimitSettings
    statistics: Statistics
    events: EventLog
    opened: Callable[[Session], None]
    closed: Callable[[Session], None]
    progressed: Callable[[], None]
    """A request was answered: whoever drains looks again."""
    requests: RequestLog
    """Where requests are listed."""
    awake: Awake
    """Stays so for a moment after each request."""
    observation: Observation | None = None
    """Who is told of requests."""


class Session(asyncio.Protocol):
    """A connection's driver around the pure `ServerConnection`."""

    _transport: asyncio.Transport
    _outbox: Outbox

    def __init__(self, shared: Shared, connection: ServerConnection, caller: Caller) -> None:
        self.caller = caller
        self._shared = shared
        self._observation = shared.observation
        self._connection = connection
        self._backlog: deque[ServerEvent] = deque()
        self._tasks: dict[int, asyncio.Task[Any]] = {}
        self._is_turn_due = self._is_reading_paused = self._is_giving_up = False
        self._stranger_timer: asyncio.TimerHandle | None = None
        self._lost: asyncio.Future[None] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a request is not answered yet, or an answer not sent."""
        return bool(self._tasks or self._backlog or self._outbox)

    def give_up(self) -> list[asyncio.Task[Any]]:
        """Answer open requests with SHUTTING_DOWN; the tasks that end with that."""
        self._is_giving_up = True
        self._backlog.clear()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        return tasks

    def close(self) -> asyncio.Future[None]:
        """Hang up when what was written is sent; done when the connection is gone."""
        self._lost = asyncio.get_running_loop().create_future()
        self._outbox.flush()
        self._transport.close()
        return self._lost

    # -- asyncio's calls ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's by their methods alone.
        self._transport = cast(asyncio.Transport, transport)
        self._outbox = Outbox(
            self._transport,
            self._shared.limits,
            on_flushed=self._shared.progressed,
            on_cut_off=self._cut_off,
        )
        self.caller.push = self._push
        if self.caller.transport == "tcp":
            self._stranger_timer = asyncio.get_running_loop().call_later(
                _HELLO_S, self._transport.abort
            )
        elif not self._is_own_user():
            self._transport.abort()
        self._shared.opened(self)

    def data_received(self, data: bytes) -> None:
        self._shared.awake.asked()
        self._backlog.extend(self._connection.receive(data))
        if not self._is_turn_due:
            self._turn()
        self._shared.awake.answered()

    def eof_received(self) -> None:
        """The peer has gone: MessagePack-RPC has no half-open clients, and its work is dropped."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._greeted()
        self._backlog.clear()
        self._outbox.close()
        for task in self._tasks.values():
            task.cancel()  # nobody waits: the work is dropped before it reaches a batch
        self._shared.closed(self)
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)

    def pause_writing(self) -> None:
        self._outbox.pause()
        self._adjust_reading()

    def resume_writing(self) -> None:
        self._outbox.resume()
        self._adjust_reading()

    # -- requests -------------------------------------------------------------------------

    def _turn(self) -> None:
        """Serve what has come, as far as one connection may at a time."""
        self._is_turn_due = False
        backlog, limit = self._backlog, self._shared.limits.requests_in_flight
        for _ in range(_EVENTS_A_TURN):
            if not backlog or len(self._tasks) >= limit:
                break
            self._handle(backlog.popleft())
        self._outbox.flush()
        if backlog and len(self._tasks) < limit:
            self._turn_soon()
        self._adjust_reading()

    def _turn_soon(self) -> None:
        if not self._is_turn_due:
            self._is_turn_due = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _handle(self, event: ServerEvent) -> None:
        if isinstance(event, Request):
            self._serve(event)
        elif isinstance(event, Notification):
            self._notified(event)
        else:
            self._refuse(event)

    def _serve(self, request: Request) -> None:
        started = time.perf_counter()
        self.caller.requests += 1
        observation = self._observation
        if observation is None:
            number = next(self._shared.requests.numbers)
        else:
            number = observation.received(request.method, self.caller)
        try:
            result = self._shared.service.call(request.method, request.params, self.caller)
        except EmberdError as exc:
            self._fail(request, exc, started, number)
        except Exception as exc:
            self._fail(request, _internal(request, exc), started, number)
        else:
            if type(result) is CoroutineType:
                self._work_on(request, result, started, number)
            else:
                self._succeed(request, result, started, number)

    def _work_on(
        self, request: Request, work: Coroutine[Any, Any, Any], started: float, number: int
    ) -> None:
        self._shared.statistics.in_flight += 1
        self.caller.in_flight += 1
        trace = Trace(started)
        token = CURRENT.set(trace)  # the task copies the context
        task = self._tasks[request.msgid] = asyncio.create_task(work)
        CURRENT.reset(token)
        task.add_done_callback(partial(self._finished, request, started, number, trace))

    def _finished(
        self,
        request: Request,
        started: float,
        number: int,
        trace: Trace,
        task: asyncio.Task[Any],
    ) -> None:
        del self._tasks[request.msgid]
        self._shared.statistics.in_flight -= 1
        self.caller.in_flight -= 1
        if task.cancelled():
            self._fail(request, self._why_cancelled(), started, number, trace)
        elif (exc := task.exception()) is None:
            self._succeed(request, task.result(), started, number, trace)
        elif isinstance(exc, EmberdError):
            self._fail(request, exc, started, number, trace)
        else:
            self._fail(request, _internal(request, exc), started, number, trace)
        self._outbox.flush_soon()
        if self._backlog:
            self._turn_soon()
        else:
            self._adjust_reading()
        self._shared.awake.answered()

    def _why_cancelled(self) -> EmberdError:
        if self._is_giving_up:
            return ShuttingDownError(
                "The daemon is shutting down and could not finish this in time. What was "
                "computed is cached; ask again once it runs.",
                retry_after_ms=1000,
            )
        return CancelledRequestError("The request was given up.")

    def _succeed(
        self,
        request: Request,
        result: Any,
        started: float,
        number: int,
        trace: Trace | None = None,
    ) -> None:
        if request.method == HELLO:
            self._connection.greet()
            self._greeted()
        try:
            self._outbox.add(self._connection.response(request.msgid, result))
        except EmberdError as exc:
            self._fail(request, exc, started, number, trace)
        else:
            if trace is None and not self._backlog:
                self._outbox.flush()  # the peer reads while we count
            self._ended(request.method, started, number, trace, result=result)

    def _fail(
        self,
        request: Request,
        error: EmberdError,
        started: float,
        number: int,
        trace: Trace | None = None,
    ) -> None:
        # Who gives a request up has not been failed by us.
        failed = not isinstance(error, CancelledRequestError)
        self.caller.failed += failed
        self._outbox.add(self._connection.error_response(request.msgid, error))
        self._ended(request.method, started, number, trace, error=error.code, failed=failed)
        if self.caller.transport == "tcp" and not self._connection.is_greeted:
            self._hang_up()

    def _ended(
        self,
        method: str,
        started: float,
        number: int,
        trace: Trace | None,
        *,
        result: Any = None,
        error: str = "",
        failed: bool = False,
    ) -> None:
        """Count, list and tell a request that was answered."""
        seconds = time.perf_counter() - started
        caller, shared = self.caller, self._shared
        caller.latency.record(seconds)
        if method in METHODS:
            shared.statistics.record(method, seconds, failed=failed)
            shared.requests.add(
                number, method, caller, seconds, result=result, error=error, trace=trace
            )
        if self._observation is not None:
            texts, tokens = amounts_of(method, result)
            self._observation.ended(
                number, method, caller, seconds, texts=texts, tokens=tokens, error=error
            )

    def _notified(self, event: Notification) -> None:
        if event.method == CANCEL and event.params and isinstance(event.params[0], int):
            task = self._tasks.get(event.params[0])
            if task is not None:
                task.cancel()

    def _refuse(self, event: Malformed) -> None:
        self.caller.failed += 1
        self._outbox.add(self._connection.refusal(event))
        if event.is_fatal:
            self._warn("client.refused", event.error.message)
            self._hang_up()

    # -- the connection -------------------------------------------------------------------

    def _push(self, snapshot: dict[str, Any]) -> None:
        """A snapshot for a subscriber; one that still has unread replies waits for the next."""
        if not self._outbox.is_paused and not self._transport.is_closing():
            self._outbox.add(self._connection.notification("stats", snapshot))
            self._outbox.flush_soon()

    def _is_own_user(self) -> bool:
        peer = peer_of(self._transport.get_extra_info("socket"))
        self.caller.pid = peer[0] if peer else 0
        return is_same_user(peer)

    def _greeted(self) -> None:
        if self._stranger_timer is not None:
            self._stranger_timer.cancel()
            self._stranger_timer = None

    def _cut_off(self) -> None:
        self._warn("client.cut_off", "its replies were not read in time")

    def _hang_up(self) -> None:
        """Close once the last words are written; what else has come is not served."""
        self._backlog.clear()
        self._outbox.flush()
        self._transport.close()

    def _warn(self, event: str, message: str) -> None:
        self._shared.events.emit(
            event, message, level="warning", client=self.caller.name, pid=self.caller.pid
        )

    def _adjust_reading(self) -> None:
        """Read only while there is room for more requests and the peer takes its replies."""
        wanted = (
            bool(self._backlog)
            or self._outbox.is_paused
            or len(self._tasks) >= self._shared.limits.requests_in_flight
            or self._connection.open_bytes > self._shared.limits.mib_in_flight << 20
        )
        if wanted != self._is_reading_paused and not self._transport.is_closing():
            self._is_reading_paused = wanted
            if wanted:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()


def _internal(request: Request, exc: BaseException) -> InternalError:
    log.error(
        "a request failed",
        exc_info=exc,
        extra={"event": "request.internal_error", "fields": {"method": request.method}},
    )
    return InternalError(
        f"{type(exc).__name__} in {request.method}: a defect in emberd. `emberd logs` has the "
        "traceback; please report it."
    )
