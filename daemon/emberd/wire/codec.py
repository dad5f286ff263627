"""Messages to bytes and bytes to messages. No I/O, no connection state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgpack
import msgspec

from emberd.errors import (
    EmberdError,
    InternalError,
    InvalidParamsError,
    InvalidRequestError,
    ProtocolError,
)
from emberd.wire.limits import Limits
from emberd.wire.messages import Event, Malformed, message_from
from emberd.wire.scan import HEAD_BYTES, MESSAGE_HEADS, is_over_limits, request_msgid
from emberd.wire.unpack import (
    SMALL_BYTES,
    Buffer,
    Scanner,
    SmallUnpacker,
    too_large,
    unpacker_of,
)

__all__ = ["Decoder", "Encoder"]

# Buffers that once grew beyond this are let go: one large message must not cost its memory for
# the life of the connection.
_KEPT_BUFFER_BYTES: Final = 1 << 20
_FOUR: Final = b"\x94"  # the head of an array of four


class Encoder:
    """Packs messages, reusing one buffer. One owner at a time: no two threads at once.

    `msgspec.Struct` values pack as maps. A `lenient` encoder packs a string that UTF-8 cannot
    hold with escapes, since a reply must always be possible; a strict one raises
    InvalidParamsError.
    """

    __slots__ = ("_is_lenient", "_packer")

    def __init__(self, *, lenient: bool = False) -> None:
        self._is_lenient = lenient
        self._packer = _packer()

    def request(self, msgid: int, method: str, params: Sequence[Any]) -> bytes:
        """`[0, msgid, method, params]`."""
        return self._pack((0, msgid, method, params))

    def response(self, msgid: int, error: Any, result: Any) -> bytes:
        """`[1, msgid, error, result]`; a `msgspec.Raw` result is packed already."""
        if isinstance(result, msgspec.Raw):
            return b"".join((_FOUR, self._pack((1, msgid, error))[1:], result))
        return self._pack((1, msgid, error, result))

    def notification(self, method: str, params: Sequence[Any]) -> bytes:
        """`[2, method, params]`."""
        return self._pack((2, method, params))

    def _pack(self, message: tuple[Any, ...]) -> bytes:
        try:
            data: bytes = self._packer.pack(message)
        except UnicodeEncodeError as exc:
            if not self._is_lenient:
                raise InvalidParamsError(
                    "A string holds a lone surrogate (U+D800 to U+DFFF), which UTF-8 cannot "
                    "carry. It was probably decoded from bytes that were not text."
                ) from exc
            data = _packer(unicode_errors="backslashreplace").pack(message)
        except (TypeError, ValueError, OverflowError, RecursionError) as exc:
            raise InternalError(f"A value cannot be packed as MessagePack: {exc}.") from exc
        if len(data) > _KEPT_BUFFER_BYTES:
            self._packer = _packer()
        return data


def _packer(**options: Any) -> msgpack.Packer:
    return msgpack.Packer(default=msgspec.to_builtins, **options)


class Decoder:
    """Cuts a stream of bytes into messages, however the bytes arrive.

    A small request costs 1.3 us, where the bare library takes 0.5; 100,000 texts cost 8 ms, where
    it takes 7.
    """

    __slots__ = (
        "_base",
        "_held",
        "_is_head_judged",
        "_is_stopped",
        "_limits",
        "_scanner",
        "_small",
        "_small_bytes",
        "_unpack",
    )

    def __init__(self, limits: Limits) -> None:
        self._scanner = Scanner()
        self._base = 0  # where the bytes that we hold begin, in the scanner's count
        self._held = bytearray()  # a message whose end has not come
        self._is_head_judged = False
        self._is_stopped = False
        self.set_limits(limits)

    def set_limits(self, limits: Limits) -> None:
        """Other limits, from the next call of `feed` on."""
        self._limits = limits
        self._unpack = unpacker_of(limits)
        self._small = SmallUnpacker(limits)
        self._small_bytes = min(SMALL_BYTES, limits.frame_bytes)

    def stop(self) -> None:
        """The connection is over: look at nothing that may still come."""
        self._is_stopped = True
        self._held = bytearray()

    @property
    def buffered_bytes(self) -> int:
        """Bytes of a message that has begun and not ended."""
        return len(self._held)

    def feed(self, data: Buffer) -> list[Event]:
        """The messages that are complete now; raises nothing, whatever the peer sends.

        A fatal Malformed ends the stream: it is the last event, and later data is not looked at.
        """
        events: list[Event] = []
        if self._is_stopped or not data:
            return events
        if not self._held:
            found: list[Event] | None
            if len(data) <= self._small_bytes:
                found = self._small.unpack(data, _message)
            else:
                found = self._whole(data)
            if found is not None:
                return found
        buffer: Buffer = data
        if self._held:
            self._held += data
            buffer = self._held
        start, size = 0, len(buffer)
        try:
            self._scanner.feed(data)
            while start < size and (end := self._next_end(buffer, start)):
                frame = buffer if end - start == size else buffer[start:end]
                events.append(self._message(frame))
                start = end
        except ProtocolError as exc:
            head = bytes(buffer[start : start + HEAD_BYTES])
            events.append(self._failure(exc, head, self._scanner.tell() - self._base - start))
            return events
        self._keep(buffer, start)
        if self._held and self._is_refusable():
            events.append(self._failure(too_large(), bytes(self._held[:HEAD_BYTES])))
        return events

    def _whole(self, data: Buffer) -> list[Event] | None:
        """The message that the data is from its first byte to its last, None where it is not. For
        a trusted peer alone: the scanner, which this saves, is what stands between an untrusted
        one's claims and our memory."""
        size, limits = len(data), self._limits
        if limits.elements is not None or size > limits.frame_bytes:
            return None
        if data[0] not in MESSAGE_HEADS:
            return None
        try:
            event = message_from(self._unpack(data), size)
        except EmberdError:
            return None  # it is not all there, or more than one, or damaged
        return None if type(event) is Malformed else [event]

    def _next_end(self, buffer: Buffer, start: int) -> int | None:
        if buffer[start] not in MESSAGE_HEADS:
            raise ProtocolError(
                "These bytes are not MessagePack-RPC: every message is an array of 3 or 4 "
                "elements. Is this the right socket?"
            )
        end = self._scanner.next_end()
        return None if end is None else end - self._base

    def _message(self, frame: Buffer) -> Event:
        size = len(frame)
        if size > self._limits.frame_bytes:
            raise too_large()
        try:
            value = self._unpack(frame)
        except InvalidRequestError as exc:
            return self._refusal(exc, bytes(frame[:HEAD_BYTES]))
        event = message_from(value, size)
        if type(event) is Malformed and event.is_fatal:
            raise event.error
        return event

    def _refusal(self, error: EmberdError, head: bytes) -> Malformed:
        """The message has a known end, so a request that cannot be read costs only itself."""
        msgid = request_msgid(head)
        if msgid is None or is_over_limits(head, self._limits):
            raise ProtocolError(error.message) from error
        return Malformed(error, msgid, is_fatal=False)

    def _failure(self, error: ProtocolError, head: bytes, distance: int = 0) -> Malformed:
        """The last event, for a fault `distance` bytes into the message that starts with `head`.

        What is reported must not depend on how the bytes were split, so limits come first.
        """
        self.stop()
        if head[0] in MESSAGE_HEADS and (
            distance > self._limits.frame_bytes or is_over_limits(head, self._limits)
        ):
            error = too_large()
        return Malformed(error, request_msgid(head))

    def _keep(self, buffer: Buffer, start: int) -> None:
        """Hold what is left for the next call."""
        size = len(buffer)
        self._base += start
        if buffer is self._held:
            del self._held[:start]
        elif start < size:
            self._held = bytearray(buffer[start:])
        if start:
            self._is_head_judged = False
            if size > _KEPT_BUFFER_BYTES:
                self._renew_scanner()

    def _renew_scanner(self) -> None:
        self._scanner = Scanner()
        self._scanner.feed(self._held)
        self._base = 0

    def _is_refusable(self) -> bool:
        """Whether the message that has begun is too large, or claims at its head to be."""
        if len(self._held) > self._limits.frame_bytes:
            return True
        if self._is_head_judged:
            return False
        self._is_head_judged = len(self._held) >= HEAD_BYTES
        return is_over_limits(bytes(self._held[:HEAD_BYTES]), self._limits)


def _message(value: object, size: int) -> Event | None:
    event = message_from(value, size)
    return None if type(event) is Malformed else event
