"""MessagePack-RPC without I/O: messages, codec, connection state. Vectors are a module apart,
`emberd.wire.vectors`, since they need NumPy."""

from emberd.wire.codec import Decoder, Encoder
from emberd.wire.connection import (
    ClientConnection,
    ClientEvent,
    Reply,
    ServerConnection,
    ServerEvent,
)
from emberd.wire.hello import PROTOCOL_VERSION, ServerInfo, ServerLimits, Welcome
from emberd.wire.limits import Limits
from emberd.wire.messages import (
    CANCEL,
    ERROR,
    HELLO,
    Malformed,
    Message,
    Notification,
    Request,
    Response,
    named_params,
)
from emberd.wire.text import first_invalid_utf8, has_invalid_utf8

__all__ = [
    "CANCEL",
    "ERROR",
    "HELLO",
    "PROTOCOL_VERSION",
    "ClientConnection",
    "ClientEvent",
    "Decoder",
    "Encoder",
    "Limits",
    "Malformed",
    "Message",
    "Notification",
    "Reply",
    "Request",
    "Response",
    "ServerConnection",
    "ServerEvent",
    "ServerInfo",
    "ServerLimits",
    "Welcome",
    "first_invalid_utf8",
    "has_invalid_utf8",
    "named_params",
]
