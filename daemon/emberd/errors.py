"""The one error tree: each class has a stable wire code and says whether a retry can help.

Nothing else crosses the socket. A message says what is wrong and what to do next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

__all__ = [
    "ERRORS_BY_CODE",
    "CacheUnavailableError",
    "CancelledRequestError",
    "ChecksumMismatchError",
    "CollectionExistsError",
    "CollectionModelMismatchError",
    "CollectionNotFoundError",
    "ConnectionLostError",
    "DaemonAlreadyRunningError",
    "DaemonUnreachableError",
    "DeadlineExceededError",
    "DownloadFailedError",
    "EmbeddingFailedError",
    "EmberdError",
    "FrameTooLargeError",
    "GraphLostError",
    "InternalError",
    "InvalidConfigError",
    "InvalidParamsError",
    "InvalidRequestError",
    "MethodNotFoundError",
    "ModelInvalidError",
    "ModelLoadFailedError",
    "ModelNotFoundError",
    "NamespaceNotFoundError",
    "OverloadedError",
    "PluginFailedError",
    "PluginNotFoundError",
    "ProtocolError",
    "RateLimitedError",
    "RequestTimeoutError",
    "ShuttingDownError",
    "SlowReaderError",
    "StorageError",
    "TextTooLongError",
    "UnauthenticatedError",
    "UpstreamUnavailableError",
    "error_from_wire",
]


class EmberdError(Exception):
    """Base of every error that emberd raises on purpose.

    `message` is one sentence or two, the second saying what to do. `details` is a plain map that
    names the field, the index of the text and so on; it travels with the error.
    """

    code: ClassVar[str] = "INTERNAL"
    is_retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        retry_after_ms: int | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_ms = retry_after_ms
        self.details: dict[str, Any] = dict(details or {})

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.retry_after_ms, self.details)

    def to_wire(self) -> dict[str, Any]:
        """The map that travels: `{code, message, retryable, retry_after_ms, details}`."""
        return {
            "code": self.code,
            "message": self.message,
            "retryable": self.is_retryable,
            "retry_after_ms": self.retry_after_ms,
            "details": self.details,
        }

    def to_text(self) -> str:
        """The form for plain clients that can only show a string: `CODE: message`."""
        return f"{self.code}: {self.message}"


def _rebuild(
    kind: type[EmberdError], message: str, retry_after_ms: int | None, details: dict[str, Any]
) -> EmberdError:
    return kind(message, retry_after_ms=retry_after_ms, details=details)


class InternalError(EmberdError):
    """A defect in emberd itself; the daemon's log has the traceback."""

    code = "INTERNAL"


class ProtocolError(EmberdError):
    """The peer's bytes are not MessagePack-RPC; the connection is closed after this."""

    code = "PROTOCOL_ERROR"


class FrameTooLargeError(ProtocolError):
    """A message (or one array, map or string of it) is over the connection's limit."""

    code = "FRAME_TOO_LARGE"


class InvalidRequestError(EmberdError):
    """A request that cannot be taken in this state (`hello` too late, twice, and so on)."""

    code = "INVALID_REQUEST"


class MethodNotFoundError(EmberdError):
    """No such method; `emberd api` lists them."""

    code = "METHOD_NOT_FOUND"


class InvalidParamsError(EmberdError):
    """A parameter has the wrong type or value; `details.field` names it."""

    code = "INVALID_PARAMS"


class UnauthenticatedError(EmberdError):
    """The connection has not shown a valid token, or the peer is another user."""

    code = "UNAUTHENTICATED"


class NamespaceNotFoundError(EmberdError):
    """The namespace is not declared in the settings."""

    code = "NAMESPACE_NOT_FOUND"


class ModelNotFoundError(EmberdError):
    """No such model in the store or the catalog."""

    code = "MODEL_NOT_FOUND"


class ModelInvalidError(EmberdError):
    """The model's files are not a sentence-embedding model that emberd can run."""

    code = "MODEL_INVALID"


class ModelLoadFailedError(EmberdError):
    """The model's files are there, but the runtime could not load them."""

    code = "MODEL_LOAD_FAILED"


class DownloadFailedError(EmberdError):
    """A source did not deliver the model's files."""

    code = "DOWNLOAD_FAILED"
    is_retryable = True


class ChecksumMismatchError(EmberdError):
    """A file is not the one that its checksum names."""

    code = "CHECKSUM_MISMATCH"


class TextTooLongError(EmberdError):
    """A text is over the model's window (with `truncate="error"`) or over the byte limit."""

    code = "TEXT_TOO_LONG"


class EmbeddingFailedError(EmberdError):
    """The model failed on this text; other texts of the same batch are not affected."""

    code = "EMBEDDING_FAILED"


class DeadlineExceededError(EmberdError):
    """The request's own deadline passed before its vectors were there."""

    code = "DEADLINE_EXCEEDED"
    is_retryable = True


class CancelledRequestError(EmberdError):
    """The request was given up before it was answered."""

    code = "CANCELLED"
    is_retryable = True


class OverloadedError(EmberdError):
    """A queue is full; try again after `retry_after_ms`."""

    code = "OVERLOADED"
    is_retryable = True


class RateLimitedError(EmberdError):
    """A rate limiter refused the work; try again after `retry_after_ms`."""

    code = "RATE_LIMITED"
    is_retryable = True


class UpstreamUnavailableError(EmberdError):
    """The server that computes this model's vectors cannot be reached or refuses."""

    code = "UPSTREAM_UNAVAILABLE"
    is_retryable = True


class PluginNotFoundError(EmberdError):
    """No plugin of that name; `emberd plugins list` shows them."""

    code = "PLUGIN_NOT_FOUND"


class PluginFailedError(EmberdError):
    """A plugin raised, hung, or answered something else than its contract says."""

    code = "PLUGIN_FAILED"


class ShuttingDownError(EmberdError):
    """The daemon is draining and takes no new work."""

    code = "SHUTTING_DOWN"
    is_retryable = True


class SlowReaderError(EmberdError):
    """The peer did not read its replies in time and was cut off."""

    code = "SLOW_READER"


class CacheUnavailableError(EmberdError):
    """The persistent cache cannot be used (the message says why); memory still serves."""

    code = "CACHE_UNAVAILABLE"


class CollectionNotFoundError(EmberdError):
    """No collection of that name; `emberd collections list` shows them."""

    code = "COLLECTION_NOT_FOUND"


class CollectionExistsError(EmberdError):
    """A collection of that name is there already."""

    code = "COLLECTION_EXISTS"


class CollectionModelMismatchError(EmberdError):
    """The collection was built with another model; vectors of two models do not compare."""

    code = "COLLECTION_MODEL_MISMATCH"


class GraphLostError(EmberdError):
    """The process that holds a collection's graph is gone; exact search serves meanwhile."""

    code = "GRAPH_LOST"
    is_retryable = True


class StorageError(EmberdError):
    """A file or folder that emberd needs cannot be used."""

    code = "STORAGE"


class InvalidConfigError(EmberdError):
    """The settings file or an environment variable has a wrong value."""

    code = "INVALID_CONFIG"


class DaemonAlreadyRunningError(EmberdError):
    """Another daemon holds the lock on the same folders."""

    code = "ALREADY_RUNNING"


class DaemonUnreachableError(EmberdError):
    """Client side: no daemon answers on the socket, and none could be started."""

    code = "DAEMON_UNREACHABLE"
    is_retryable = True


class ConnectionLostError(EmberdError):
    """Client side: the connection closed before the reply came."""

    code = "CONNECTION_LOST"
    is_retryable = True


class RequestTimeoutError(EmberdError):
    """Client side: no reply within the client's own timeout."""

    code = "TIMEOUT"
    is_retryable = True


def _leaves(kind: type[EmberdError]) -> list[type[EmberdError]]:
    return [kind, *(leaf for child in kind.__subclasses__() for leaf in _leaves(child))]


ERRORS_BY_CODE: dict[str, type[EmberdError]] = {
    kind.code: kind for kind in _leaves(EmberdError) if kind is not EmberdError
}


def error_from_wire(value: object) -> EmberdError:
    """The typed error for what a peer sent: a map, a `CODE: message` string or anything else."""
    if isinstance(value, Mapping):
        kind = ERRORS_BY_CODE.get(str(value.get("code")), EmberdError)
        details = value.get("details")
        retry_after_ms = value.get("retry_after_ms")
        return kind(
            str(value.get("message", value)),
            retry_after_ms=retry_after_ms if isinstance(retry_after_ms, int) else None,
            details=details if isinstance(details, Mapping) else None,
        )
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    code, separator, message = text.partition(": ")
    if separator and code in ERRORS_BY_CODE:
        return ERRORS_BY_CODE[code](message)
    return EmberdError(text)
