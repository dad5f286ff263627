"""The three messages of MessagePack-RPC, and what a message looks like that is none of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import msgspec

from emberd.errors import EmberdError, InvalidParamsError, InvalidRequestError, ProtocolError

__all__ = [
    "CANCEL",
    "ERROR",
    "HELLO",
    "MAX_MSGID",
    "Event",
    "Malformed",
    "Message",
    "Notification",
    "Request",
    "Response",
    "is_msgid",
    "message_from",
    "named_params",
]

MAX_MSGID: Final = 0xFFFFFFFF

HELLO: Final = "hello"
"""The optional first request of a connection."""
CANCEL: Final = "cancel"
"""Notification to the daemon, params `[msgid]`: the reply is no longer wanted. The request is
still answered (with CANCELLED, or with its result if that was ready), so tables stay clean."""
ERROR: Final = "error"
"""Notification to the client, params `[error]`: why the connection ends after this."""

_REQUEST, _RESPONSE, _NOTIFICATION = 0, 1, 2


class Request(msgspec.Struct, frozen=True):
    """`[0, msgid, method, params]`; `size_bytes` is what it took on the wire."""

    msgid: int
    method: str
    params: list[Any]
    size_bytes: int = 0


class Response(msgspec.Struct, frozen=True):
    """`[1, msgid, error, result]`; error is None on success."""

    msgid: int
    error: Any
    result: Any
    size_bytes: int = 0


class Notification(msgspec.Struct, frozen=True):
    """`[2, method, params]`."""

    method: str
    params: list[Any]
    size_bytes: int = 0


class Malformed(msgspec.Struct, frozen=True):
    """What the peer sent is no message.

    With a `msgid` it can be answered. A fatal one is the connection's last event: answer it where
    a msgid is known, then close.
    """

    error: EmberdError
    msgid: int | None = None
    is_fatal: bool = True


Message: TypeAlias = Request | Response | Notification
Event: TypeAlias = Message | Malformed


def message_from(value: object, size_bytes: int = 0) -> Event:
    """The message that a decoded value is; never raises."""
    if type(value) is list and value and type(value[0]) is int:
        kind = value[0]
        if kind == _REQUEST:
            return _request(value, size_bytes)
        if kind == _RESPONSE:
            return _response(value, size_bytes)
        if kind == _NOTIFICATION:
            return _notification(value, size_bytes)
    return Malformed(
        ProtocolError(
            "A message must be an array that starts with 0 (request), 1 (response) or "
            "2 (notification)."
        )
    )


def _request(value: list[Any], size_bytes: int) -> Event:
    if len(value) == 4:
        _, msgid, method, params = value
        if is_msgid(msgid) and type(params) is list:
            if type(method) is str:
                return Request(msgid, method, params, size_bytes)
            if type(method) is bytes:  # from clients that pack strings as bin
                return Request(msgid, _decoded(method), params, size_bytes)
    return _bad_request(value)


def _response(value: list[Any], size_bytes: int) -> Event:
    if len(value) == 4 and is_msgid(value[1]):
        return Response(value[1], value[2], value[3], size_bytes)
    return Malformed(ProtocolError("A response must be [1, msgid, error, result]."))


def _notification(value: list[Any], size_bytes: int) -> Event:
    if len(value) == 3 and type(value[2]) is list:
        _, method, params = value
        if type(method) is str:
            return Notification(method, params, size_bytes)
        if type(method) is bytes:
            return Notification(_decoded(method), params, size_bytes)
    return Malformed(
        ProtocolError(
            "A notification must be [2, method, params] with a string and an array in it."
        )
    )


def _bad_request(value: list[Any]) -> Malformed:
    """Answerable, and so harmless to the connection, where the msgid is one."""
    msgid = value[1] if len(value) > 1 else None
    if not is_msgid(msgid):
        return Malformed(
            ProtocolError(f"A request's msgid must be a whole number from 0 to {MAX_MSGID}.")
        )
    return Malformed(
        InvalidRequestError(
            "A request must be [0, msgid, method, params] with a string as its method and an "
            "array as its params."
        ),
        msgid=msgid,
        is_fatal=False,
    )


def is_msgid(value: object) -> bool:
    """True for a uint32; False for a bool, which is an int to Python only."""
    return type(value) is int and 0 <= value <= MAX_MSGID


def _decoded(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def named_params(params: Sequence[Any], names: Sequence[str]) -> dict[str, Any]:
    """The params by name: from one map, or from positional values in the order of `names`.

    Raises InvalidParamsError for more values than names and for a key that is no string. The
    names in a map are not compared with `names`.
    """
    if len(params) == 1 and type(params[0]) is dict:
        found: dict[Any, Any] = params[0]
        if any(type(key) is not str for key in found):
            return {_decoded(key) if type(key) is bytes else key: found[key] for key in found}
        return found
    if len(params) > len(names):
        raise InvalidParamsError(
            f"{len(params)} positional parameters were given and the method takes "
            f"{len(names)}: {', '.join(names) or 'none'}. Or give one map of named values."
        )
    return dict(zip(names, params, strict=False))
