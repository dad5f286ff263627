"""The HTTP gateway: binds, lets in, answers, drains."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from aiohttp import web

from emberd.config import HttpSettings, LimitSettings
from emberd.errors import EmberdError, InternalError, ShuttingDownError, StorageError
from emberd.server.http.calls import Call, Context, ServiceLike
from emberd.server.http.counting import Callers
from emberd.server.http.guard import Guard
from emberd.server.http.replies import Reply
from emberd.server.http.routes import Route, error_reply, find_route
from emberd.server.http.statuses import Refusal
from emberd.server.http.transport import check_content_type, read_body, send
from emberd.service.callers import Caller
from emberd.service.observation import Observation
from emberd.service.request_log import RequestLog
from emberd.service.statistics import Statistics
from emberd.telemetry import EventLog
from emberd.wire.snapshot import Snapshot

__all__ = ["Gateway"]

_KEEPALIVE_S = 75.0
_LAST_WORD_S = 0.5

log = logging.getLogger("emberd")


class Gateway:
    """HTTP on one address. Owned by the event loop's thread.

    `make_caller` opens the record of a connection under its client's name, `release_caller`
    closes it. Raises InvalidConfigError where other machines could come in without a token.
    """

    def __init__(
        self,
        settings: HttpSettings,
        limits: LimitSettings,
        *,
        service: ServiceLike,
        statistics: Statistics,
        make_caller: Callable[[str], Caller],
        release_caller: Callable[[Caller], None],
        latest_snapshot: Callable[[], Snapshot],
        events: EventLog,
        requests: RequestLog | None = None,
        observation: Observation | None = None,
    ) -> None:
        self._settings = settings
        self._limits = limits
        self._guard = Guard(settings)
        self._context = Context(service, limits, latest_snapshot)
        self._callers = Callers(make_caller, release_caller, statistics, observation, requests)
        self._events = events
        self._open: set[asyncio.Task[Any]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_draining = self._is_giving_up = False
        self._server: _Server | None = None
        self._listener: asyncio.Server | None = None

    @property
    def address(self) -> str:
        """For people: `http://127.0.0.1:8080`; the port is the real one once started."""
        port = self._settings.port
        if self._listener is not None and self._listener.sockets:
            port = self._listener.sockets[0].getsockname()[1]
        host = self._settings.host.strip("[]")
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def start(self) -> None:
        """Bind and answer. Raises StorageError where the address cannot be had."""
        self._server = _Server(self._handle, self._callers.forget)
        try:
            self._listener = await asyncio.get_running_loop().create_server(
                self._server, self._settings.host.strip("[]") or None, self._settings.port
            )
        except OSError as exc:
            raise StorageError(
                f"Cannot listen on {self.address}: {exc.strerror or exc}. Choose another "
                "http.port or http.host in the settings, or stop the program that has it.",
                details={"field": "http.port"},
            ) from exc

    async def drain(self, timeout_s: float) -> None:
        """Take no new connections, finish what is open for at most `timeout_s`, then hang up.

        Until then an open connection still answers, so that /health can tell.
        """
        self._is_draining = True
        if self._listener is not None:
            self._listener.close()
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            self._is_giving_up = True
            for task in self._open:
                task.cancel()
        if self._server is not None:
            server, self._server = self._server, None
            server.pre_shutdown()  # idle connections end now; else each waits the time out
            await server.shutdown(_LAST_WORD_S)
        self._callers.forget_all()

    async def close(self) -> None:
        """Hang up at once. A second call does nothing."""
        await self.drain(0)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        with self._held_open():
            try:
                route, call = await self._admit(request)
            except (EmberdError, Refusal) as exc:
                return await self._send(request, error_reply(exc, request.path))
            if route.counted_as is None:
                return await self._send(request, await self._answer(route, call, request.path))
            with self._callers.counted(route.counted_as, call.caller, call.outcome):
                reply = await self._answer(route, call, request.path)
                call.outcome.is_failed, call.outcome.error = reply.status >= 400, reply.error
                return await self._send(request, reply)

    async def _admit(self, request: web.BaseRequest) -> tuple[Route, Call]:
        """Check a request and read it. Raises Refusal or EmberdError."""
        self._guard.check(request.headers)
        route, tail = find_route(request.method, request.path)
        if route.verb == "POST":
            check_content_type(request, route.content_types)
        body = await read_body(request, self._limits.frame_mib << 20)
        caller = self._callers.of(request.protocol, request.headers.get("User-Agent", ""))
        return route, Call(self._context, caller, request.headers, body, tail)

    async def _answer(self, route: Route, call: Call, path: str) -> Reply:
        try:
            return await route.answer(call)
        except EmberdError as exc:
            return error_reply(exc, path)
        except asyncio.CancelledError:
            if not self._is_giving_up:
                raise
            _current_task().uncancel()
            return error_reply(_gave_up(), path)
        except Exception as exc:
            return error_reply(_internal(route, exc), path)

    async def _send(self, request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
        def on_cut_off() -> None:
            self._events.emit(
                "client.cut_off",
                "its reply was not read in time",
                level="warning",
                client=self._callers.name_of(request.protocol),
            )

        return await send(
            request,
            reply,
            stall_s=self._limits.write_s,
            is_last=self._is_draining,
            on_cut_off=on_cut_off,
        )

    @contextmanager
    def _held_open(self) -> Iterator[None]:
        """Let `drain` wait for this request."""
        task = _current_task()
        self._open.add(task)
        self._idle.clear()
        try:
            yield
        finally:
            self._open.discard(task)
            if not self._open:
                self._idle.set()


def _current_task() -> asyncio.Task[Any]:
    return cast("asyncio.Task[Any]", asyncio.current_task())


def _gave_up() -> ShuttingDownError:
    return ShuttingDownError(
        "The daemon is shutting down and gave this request up. Ask again in a moment.",
        retry_after_ms=1000,
    )


def _internal(route: Route, exc: Exception) -> InternalError:
    where = f"{route.verb} {route.path}"
    log.error(
        "a request failed",
        exc_info=exc,
        extra={"event": "request.internal_error", "fields": {"route": where}},
    )
    return InternalError(
        f"{type(exc).__name__} in {where}: a defect in emberd. `emberd logs` has the traceback; "
        "please report it."
    )


class _Server(web.Server):
    """aiohttp's server, which tells of connections that end and cancels their work."""

    def __init__(self, handle: Any, forget: Callable[[web.RequestHandler], None]) -> None:
        super().__init__(
            handle,
            handler_cancellation=True,
            keepalive_timeout=_KEEPALIVE_S,
            access_log=None,
            logger=log,
        )
        self._forget = forget

    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        super().connection_lost(handler, exc)
        self._forget(handler)
