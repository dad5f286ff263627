"""The state of a connection, for each side: bytes in, events out, bytes to send. No I/O.

Neither class locks: each has one owner at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Generic, TypeAlias, TypeVar

import msgspec

from emberd.errors import (
    ConnectionLostError,
    EmberdError,
    InvalidRequestError,
    ProtocolError,
    UnauthenticatedError,
    error_from_wire,
)
from emberd.wire.codec import Decoder, Encoder
from emberd.wire.limits import Limits
from emberd.wire.messages import (
    CANCEL,
    ERROR,
    HELLO,
    MAX_MSGID,
    Malformed,
    Notification,
    Request,
    Response,
)
from emberd.wire.unpack import Buffer

__all__ = ["ClientConnection", "ClientEvent", "Reply", "ServerConnection", "ServerEvent"]

W = TypeVar("W")

_ABANDONED: Final = None


class Reply(msgspec.Struct, frozen=True):
    """The answer to a request: `waiter` is what was given with it."""

    waiter: Any
    result: Any = None
    error: EmberdError | None = None


ClientEvent: TypeAlias = Reply | Notification | Malformed
ServerEvent: TypeAlias = Request | Notification | Malformed


class ClientConnection(Generic[W]):
    """The asking side: numbers requests and finds the waiter of each reply.

    A waiter is whatever the driver waits with (a future, a slot); it must not be None.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._encoder = Encoder()
        self._decoder = Decoder(limits or Limits.for_replies())
        self._waiters: dict[int, W | None] = {}
        self._last_msgid = 0
        self._last_words: EmberdError | None = None

    @property
    def pending(self) -> int:
        """Requests whose reply has not come, abandoned ones included."""
        return len(self._waiters)

    def request(self, method: str, params: Mapping[str, Any], waiter: W) -> tuple[int, bytes]:
        """The msgid and the bytes of a new request. Raises InvalidParamsError for strings that
        UTF-8 cannot carry; the connection is then as before."""
        msgid = self._free_msgid()
        data = self._encoder.request(msgid, method, (params,) if params else ())
        self._waiters[msgid] = waiter
        return msgid, data

    def notification(self, method: str, *params: Any) -> bytes:
        """The bytes of a notification."""
        return self._encoder.notification(method, params)

    def withdraw(self, msgid: int) -> None:
        """The request was never sent: no reply will come."""
        self._waiters.pop(msgid, None)

    def abandon(self, msgid: int) -> bytes:
        """Nobody waits any more: the reply will be dropped. The bytes tell the daemon so; none
        where the reply has come already."""
        if self._waiters.get(msgid, _ABANDONED) is _ABANDONED:
            return b""
        self._waiters[msgid] = _ABANDONED
        return self.notification(CANCEL, msgid)

    def receive(self, data: Buffer) -> list[ClientEvent]:
        """The replies (of those still waited for) and notifications in `data`.

        A Malformed is the last event: close the connection with its error.
        """
        events: list[ClientEvent] = []
        for message in self._decoder.feed(data):
            event = self._reply(message) if isinstance(message, Response) else self._other(message)
            if event is not None:
                events.append(event)
            if isinstance(event, Malformed):
                self._decoder.stop()
                break
        return events

    def close(self) -> list[W]:
        """The waiters that will get no reply; the driver fails them."""
        waiters = [waiter for waiter in self._waiters.values() if waiter is not _ABANDONED]
        self._waiters.clear()
        return waiters

    def loss(self) -> EmberdError:
        """Why the stream ended: what the daemon said last, else that it said nothing."""
        if self._last_words is not None:
            return self._last_words
        return ConnectionLostError(
            "The daemon closed the connection before it replied. Try again; `emberd logs` shows "
            "whether it was stopped."
        )

    def _other(self, message: Request | Notification | Malformed) -> ClientEvent:
        if isinstance(message, Request):
            return Malformed(ProtocolError("The daemon sent a request; clients answer none."))
        if isinstance(message, Notification) and message.method == ERROR:
            self._last_words = error_from_wire(message.params[0] if message.params else None)
            return Malformed(self._last_words)
        return message

    def _reply(self, response: Response) -> ClientEvent | None:
        try:
            waiter = self._waiters.pop(response.msgid)
        except KeyError:
            return Malformed(ProtocolError("The daemon answered a request that was never sent."))
        if waiter is _ABANDONED:
            return None
        if response.error is None:
            return Reply(waiter, response.result)
        return Reply(waiter, None, error_from_wire(response.error))

    def _free_msgid(self) -> int:
        msgid = self._last_msgid
        while True:
            msgid = msgid + 1 if msgid < MAX_MSGID else 0
            if msgid not in self._waiters:
                self._last_msgid = msgid
                return msgid


class ServerConnection:
    """The answering side: what is open, whether `hello` was said, and how errors are put.

    Every Request that `receive` gives must be answered once, by `response` or `error_response`.
    """

    def __init__(self, limits: Limits | None = None, *, demands_hello: bool = False) -> None:
        self._limits = limits or Limits()
        self._encoder = Encoder(lenient=True)
        self._decoder = Decoder(Limits.for_strangers() if demands_hello else self._limits)
        self._demands_hello = demands_hello
        self._is_greeted = False
        self._is_in_use = False
        self._has_errors_as_maps = False
        self._open: dict[int, int] = {}
        self._open_bytes = 0

    @property
    def is_greeted(self) -> bool:
        """Whether `hello` was accepted."""
        return self._is_greeted

    @property
    def open_requests(self) -> int:
        """Requests that are not answered yet."""
        return len(self._open)

    @property
    def open_bytes(self) -> int:
        """What the open requests took on the wire."""
        return self._open_bytes

    @property
    def buffered_bytes(self) -> int:
        """What is held of a message whose end has not come."""
        return self._decoder.buffered_bytes

    def receive(self, data: Buffer) -> list[ServerEvent]:
        """Requests, notifications, and what was neither.

        Send `refusal(event)` for a Malformed; after a fatal one, the last event, close.
        """
        events: list[ServerEvent] = []
        for message in self._decoder.feed(data):
            event: ServerEvent = (
                self._open_request(message)
                if isinstance(message, Request)
                else self._other(message)
            )
            events.append(event)
            if isinstance(event, Malformed) and event.is_fatal:
                self._decoder.stop()
                break
        return events

    def greet(self, *, errors_as_maps: bool = True) -> None:
        """The service has accepted this peer's `hello`: errors go out as maps from now on."""
        self._is_greeted = True
        self._has_errors_as_maps = errors_as_maps
        if self._demands_hello:
            self._decoder.set_limits(self._limits)

    def response(self, msgid: int, result: Any) -> bytes:
        """The bytes of a result. Raises InternalError for a value that cannot be packed; the
        request is then still open."""
        data = self._encoder.response(msgid, None, result)
        self._close_request(msgid)
        return data

    def error_response(self, msgid: int, error: EmberdError) -> bytes:
        """The bytes of an error: a map after `hello`, else the text `CODE: message`."""
        self._close_request(msgid)
        return self._error_response(msgid, error)

    def notification(self, method: str, *params: Any) -> bytes:
        """The bytes of a notification."""
        return self._encoder.notification(method, params)

    def refusal(self, event: Malformed) -> bytes:
        """The answer to what was no message: to its msgid where that is known, else the last
        words before the connection closes."""
        if event.msgid is not None:
            return self._error_response(event.msgid, event.error)
        return self.farewell(event.error)

    def farewell(self, error: EmberdError) -> bytes:
        """A notification that tells the peer why the connection closes now."""
        return self._encoder.notification(ERROR, (self._error(error),))

    def _open_request(self, request: Request) -> Request | Malformed:
        if not self._is_greeted and (refused := self._before_hello(request.method)):
            return Malformed(refused, request.msgid)
        if request.method == HELLO:
            if self._is_greeted or self._is_in_use:
                return _refused(request, "`hello` must be a connection's first request, and once.")
        else:
            self._is_in_use = True
        if request.msgid in self._open:
            return _refused(request, "This msgid is in use by a request that is not answered yet.")
        self._open[request.msgid] = request.size_bytes
        self._open_bytes += request.size_bytes
        return request

    def _other(self, message: Response | Notification | Malformed) -> ServerEvent:
        if isinstance(message, Response):
            return Malformed(ProtocolError("A response came to a request that was never sent."))
        if isinstance(message, Notification) and (refused := self._before_hello(message.method)):
            return Malformed(refused)
        return message

    def _before_hello(self, method: str) -> EmberdError | None:
        if not self._demands_hello or self._is_greeted or method == HELLO:
            return None
        return UnauthenticatedError(
            "Say `hello` with the token first: this listener takes nothing else before it."
        )

    def _close_request(self, msgid: int) -> None:
        self._open_bytes -= self._open.pop(msgid, 0)

    def _error_response(self, msgid: int, error: EmberdError) -> bytes:
        try:
            return self._encoder.response(msgid, self._error(error), None)
        except EmberdError:  # details that cannot be packed: the rest must still be told
            bare = type(error)(error.message, retry_after_ms=error.retry_after_ms)
            return self._encoder.response(msgid, self._error(bare), None)

    def _error(self, error: EmberdError) -> dict[str, Any] | str:
        return error.to_wire() if self._has_errors_as_maps else error.to_text()


def _refused(request: Request, message: str) -> Malformed:
    return Malformed(InvalidRequestError(message), request.msgid, is_fatal=False)
