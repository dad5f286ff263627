"""One connection of the asyncio client, shared by its tasks."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, cast

from emberd.client.connect import Connected
from emberd.client.failures import copy_of, late, lost
from emberd.errors import EmberdError
from emberd.wire.connection import Reply
from emberd.wire.messages import Malformed, Notification

__all__ = ["AsyncLink", "AsyncTicket", "open_link"]


class AsyncTicket:
    """A request that is under way on a link."""

    __slots__ = ("_future", "_link", "_method", "msgid")

    def __init__(self, link: AsyncLink, method: str) -> None:
        self._link = link
        self._method = method
        self._future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.msgid = -1

    async def wait(self, deadline: float | None) -> Any:
        """The result. Raises the reply's error, ConnectionLostError, RequestTimeoutError."""
        timer = None
        if deadline is not None and not self._future.done():
            delay_s = max(deadline - time.monotonic(), 0.0)
            # A bare timer: asyncio.timeout would cost more than all else here.
            timer = asyncio.get_running_loop().call_later(delay_s, self._expire)
        try:
            reply = await self._future
        finally:
            if timer is not None:
                timer.cancel()
        if reply.error is not None:
            raise reply.error
        return reply.result

    def settle(self, reply: Reply) -> None:
        """The reply is there. Errors come as values, so that none goes unretrieved."""
        if not self._future.done():
            self._future.set_result(reply)

    def abandon(self) -> None:
        """Nobody waits any more."""
        self._link.abandon(self)

    def _expire(self) -> None:
        self.settle(Reply(self, None, late(self._method)))


class AsyncLink(asyncio.Protocol):
    """The transport's protocol: bytes go to the connection's state, replies to their tickets."""

    def __init__(self, connected: Connected) -> None:
        self.welcome = connected.welcome
        self._connection = connected.connection
        self._transport: asyncio.Transport | None = None
        self._loss: EmberdError | None = None
        self._closed = asyncio.get_running_loop().create_future()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._news: deque[Notification] = deque(maxlen=1)  # the latest only
        self._has_news = asyncio.Event()
        self._is_followed = False

    @property
    def is_open(self) -> bool:
        """False once the connection is lost or closed."""
        return self._loss is None

    async def ask(self, method: str, params: Mapping[str, Any], deadline: float | None) -> Any:
        """The result of a request. Raises what `start` and a ticket's `wait` raise; nothing is
        under way then."""
        ticket = await self.start(method, params, deadline)
        try:
            return await ticket.wait(deadline)
        except BaseException:  # or cancelled
            ticket.abandon()
            raise

    async def start(
        self, method: str, params: Mapping[str, Any], deadline: float | None
    ) -> AsyncTicket:
        """Send a request. Raises ConnectionLostError, RequestTimeoutError, InvalidParamsError."""
        if not self._has_room.is_set():
            await self._wait_for_room(method, deadline)
        transport = self._open_transport()
        ticket = AsyncTicket(self, method)
        ticket.msgid, data = self._connection.request(method, params, ticket)
        transport.write(data)
        return ticket

    def abandon(self, ticket: AsyncTicket) -> None:
        """Drop the reply when it comes, and tell the daemon."""
        cancel = self._connection.abandon(ticket.msgid)
        if cancel and self._loss is None and self._transport is not None:
            self._transport.write(cancel)

    def follow(self) -> bool:
        """Keep notifications from here on for `next_notification`, until `unfollow`. False where
        somebody has them already."""
        if self._is_followed:
            return False
        self._is_followed = True
        return True

    def unfollow(self) -> None:
        """Drop notifications, these too that came."""
        self._is_followed = False
        self._news.clear()

    async def next_notification(self, timeout_s: float | None) -> Notification | None:
        """The latest notification; None after the timeout. Raises ConnectionLostError."""
        try:
            async with asyncio.timeout(timeout_s):
                while not self._news:
                    self._open_transport()
                    self._has_news.clear()
                    await self._has_news.wait()
        except TimeoutError:
            return None
        return self._news.popleft()

    async def close(self, error: EmberdError) -> None:
        """End the connection; whoever waits gets `error`. Returns when the socket is closed."""
        self._fail(error)
        if self._transport is not None:
            await asyncio.shield(self._closed)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's: the transport is ready."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """asyncio's: bytes have come."""
        for event in self._connection.receive(data):
            if isinstance(event, Reply):
                event.waiter.settle(event)
            elif isinstance(event, Malformed):
                self._fail(event.error)
            elif self._is_followed:
                self._news.append(event)
                self._has_news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's: the stream has ended."""
        self._fail(lost(exc) if isinstance(exc, OSError) else self._connection.loss())
        if not self._closed.done():
            self._closed.set_result(None)

    def pause_writing(self) -> None:
        """asyncio's: the daemon does not read what we send."""
        self._has_room.clear()

    def resume_writing(self) -> None:
        """asyncio's: the daemon reads again."""
        self._has_room.set()

    def _fail(self, error: EmberdError) -> None:
        if self._loss is not None:
            return
        self._loss = error
        for ticket in self._connection.close():
            ticket.settle(Reply(ticket, None, copy_of(error)))
        self._has_room.set()
        self._has_news.set()
        if self._transport is not None:
            self._transport.abort()

    def _open_transport(self) -> asyncio.Transport:
        if self._loss is not None:
            raise copy_of(self._loss)
        assert self._transport is not None  # noqa: S101 - made before the link is handed out
        return self._transport

    async def _wait_for_room(self, method: str, deadline: float | None) -> None:
        left_s = None if deadline is None else max(deadline - time.monotonic(), 0.0)
        try:
            async with asyncio.timeout(left_s):
                await self._has_room.wait()
        except TimeoutError as exc:
            raise late(method) from exc


async def open_link(connected: Connected, *, is_unix: bool) -> AsyncLink:
    """A link over a socket on which hello was said."""
    loop = asyncio.get_running_loop()
    link = AsyncLink(connected)
    try:
        # uvloop takes a Unix socket in the one and a TCP socket in the other only.
        if is_unix:
            await loop.create_unix_connection(lambda: link, sock=connected.sock)
        else:
            await loop.create_connection(lambda: link, sock=connected.sock)
    except BaseException:
        connected.sock.close()
        raise
    return link
