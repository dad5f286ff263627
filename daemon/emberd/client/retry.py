"""Which failures of a request are tried again, and when."""

from __future__ import annotations

import random
from typing import Final

import msgspec

from emberd.errors import ConnectionLostError, EmberdError, OverloadedError, ShuttingDownError

__all__ = ["RetryPolicy"]

_FIRST_DELAY_S: Final = 0.05
_LONGEST_DELAY_S: Final = 5.0
_JITTER: Final = 0.25

# Every other method gives the same when it runs twice.
_NOT_IDEMPOTENT: Final = frozenset({"collections.create", "collections.drop", "shutdown"})


class RetryPolicy(msgspec.Struct, frozen=True):
    """`retries` bounds how often a busy daemon is asked again. A lost connection is mended once,
    unless `retries` is 0."""

    retries: int = 2

    def delay_s(self, error: EmberdError, method: str, losses: int, refusals: int) -> float | None:
        """Seconds until the next try, or None to give up. `losses` and `refusals` count the
        failures of this request so far, the present one included."""
        if isinstance(error, ConnectionLostError):
            can_mend = self.retries and losses <= 1 and method not in _NOT_IDEMPOTENT
            return 0.0 if can_mend else None
        if isinstance(error, OverloadedError | ShuttingDownError) and refusals <= self.retries:
            return _backoff_s(error.retry_after_ms, refusals)
        return None


def _backoff_s(retry_after_ms: int | None, refusals: int) -> float:
    """What the daemon asked for, or else doubling; with jitter, so that clients spread."""
    seconds: float = _FIRST_DELAY_S * 2 ** (refusals - 1)
    if retry_after_ms is not None:
        seconds = max(seconds, retry_after_ms / 1_000)
    return min(seconds, _LONGEST_DELAY_S) * random.uniform(1, 1 + _JITTER)  # noqa: S311 - no secret
