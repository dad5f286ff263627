"""The one table from emberd's error codes to HTTP, and refusals that only HTTP knows."""

from __future__ import annotations

import math
from collections.abc import Mapping

from emberd.errors import EmberdError, InvalidRequestError, UnauthenticatedError

__all__ = ["STATUS_BY_CODE", "Refusal", "retry_headers", "status_of"]

STATUS_BY_CODE: dict[str, int] = {
    "INVALID_PARAMS": 400,
    "INVALID_REQUEST": 400,
    "PROTOCOL_ERROR": 400,
    "TEXT_TOO_LONG": 400,
    "UNAUTHENTICATED": 401,
    "COLLECTION_NOT_FOUND": 404,
    "METHOD_NOT_FOUND": 404,
    "MODEL_NOT_FOUND": 404,
    "NAMESPACE_NOT_FOUND": 404,
    "PLUGIN_NOT_FOUND": 404,
    "SLOW_READER": 408,
    "COLLECTION_EXISTS": 409,
    "COLLECTION_MODEL_MISMATCH": 409,
    "FRAME_TOO_LARGE": 413,
    "OVERLOADED": 429,
    "RATE_LIMITED": 429,
    "ALREADY_RUNNING": 500,
    "CHECKSUM_MISMATCH": 500,
    "EMBEDDING_FAILED": 500,
    "INTERNAL": 500,
    "INVALID_CONFIG": 500,
    "MODEL_INVALID": 500,
    "MODEL_LOAD_FAILED": 500,
    "PLUGIN_FAILED": 500,
    "STORAGE": 500,
    "CONNECTION_LOST": 502,
    "DAEMON_UNREACHABLE": 502,
    "DOWNLOAD_FAILED": 502,
    "CACHE_UNAVAILABLE": 503,
    "CANCELLED": 503,
    "GRAPH_LOST": 503,
    "SHUTTING_DOWN": 503,
    "UPSTREAM_UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
    "TIMEOUT": 504,
}
_BUSY = frozenset({429, 503})


class Refusal(Exception):  # noqa: N818 - a decision about a request, not a fault
    """A request that is refused for its HTTP, not for what it asks: the status and the error."""

    def __init__(
        self, status: int, error: EmberdError | str, headers: Mapping[str, str] | None = None
    ) -> None:
        self.error = InvalidRequestError(error) if isinstance(error, str) else error
        super().__init__(self.error.message)
        self.status = status
        self.headers = dict(headers or {})


def status_of(error: EmberdError) -> int:
    """The HTTP status of an error; 500 for a code that the table does not know."""
    return STATUS_BY_CODE.get(error.code, 500)


def retry_headers(error: EmberdError, status: int) -> dict[str, str]:
    """What tells a client whether and when to try again, and how to identify itself.

    `Retry-After` is the standard's (whole seconds); OpenAI's clients prefer `retry-after-ms` and
    obey `x-should-retry`, without which they retry every 5xx.
    """
    headers = {"x-should-retry": "true" if error.is_retryable else "false"}
    if status in _BUSY:
        wait_ms = error.retry_after_ms or 1000
        headers["Retry-After"] = str(math.ceil(wait_ms / 1000))
        headers["retry-after-ms"] = str(wait_ms)
    if isinstance(error, UnauthenticatedError):
        headers["WWW-Authenticate"] = "Bearer"
    return headers
