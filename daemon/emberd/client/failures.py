"""The client's own errors, in one wording for both clients."""

from __future__ import annotations

from emberd.errors import (
    ConnectionLostError,
    EmberdError,
    InvalidRequestError,
    RequestTimeoutError,
)

__all__ = ["closed", "copy_of", "late", "lost"]


def lost(why: str | OSError) -> ConnectionLostError:
    """The connection broke."""
    if isinstance(why, OSError):
        why = (why.strerror or str(why)).lower()
    return ConnectionLostError(f"The connection to the daemon was lost: {why}.")


def late(method: str) -> RequestTimeoutError:
    """No reply within the call's timeout."""
    return RequestTimeoutError(
        f"No reply to `{method}` in time. Give a longer timeout_s; `emberd top` shows what the "
        "daemon is busy with.",
        details={"method": method},
    )


def closed() -> InvalidRequestError:
    """The client was closed by its owner."""
    return InvalidRequestError("This client is closed; make a new one.")


def copy_of(error: EmberdError) -> EmberdError:
    """For each waiter its own, since each adds its traceback."""
    return type(error)(error.message, retry_after_ms=error.retry_after_ms, details=error.details)
