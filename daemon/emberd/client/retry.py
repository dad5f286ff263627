"""Which failures of a request are tried again, and when."""

from __future__ import annotations

import random
from typing import Final

import msgspec

from emberd.errors import (
    ConnectionLostError,
    EmberdError,
    OverloadedError,
    RateLimitedError,
    ShuttingDownError,
)

__all__ = ["RetryPolicy"]

_FIRST_DELAY_S: Final = 0.05
_LONGEST_DELAY_S: Final = 5.0
_JITTER: Final = 0.25
_LONGEST_JITTER_S: Final = 1.0
# Of many requests that are told the same moment, some are refused again: that is no busy daemon.
_LIMITS_A_RETRY: Final = 10

# Every other method gives the same when it runs twice.
_NOT_IDEMPOTENT: Final = frozenset({"collections.create", "collections.drop", "shutdown"})


class RetryPolicy(msgspec.Struct, frozen=True):
    """`retries` bounds how often a busy daemon is asked again. A lost connection is mended once,
    unless `retries` is 0.

    What a rate limiter refused is asked again when the limiter said, up to ten times for each of
    the `retries` and for `rate_limit_wait_s` seconds together; 0 of either means never."""

    retries: int = 2
    rate_limit_wait_s: float = 30.0

    def delay_s(
        self, error: EmberdError, method: str, losses: int, refusals: int, waited_s: float = 0.0
    ) -> float | None:
        """Seconds until the next try, or None to give up. `losses` and `refusals` count the
        failures of this request and of this kind so far, the present one included; `waited_s` is
        what it has waited for rate limiters."""
        if isinstance(error, ConnectionLostError):
            can_mend = self.retries and losses <= 1 and method not in _NOT_IDEMPOTENT
            return 0.0 if can_mend else None
        if isinstance(error, OverloadedError | ShuttingDownError) and refusals <= self.retries:
            return _backoff_s(error.retry_after_ms, refusals)
        if isinstance(error, RateLimitedError) and refusals <= self.retries * _LIMITS_A_RETRY:
            return self._limited_s(error.retry_after_ms, refusals, waited_s)
        return None

    def _limited_s(
        self, retry_after_ms: int | None, refusals: int, waited_s: float
    ) -> float | None:
        """At least what the limiter asked for; None where that would be too long."""
        wait_s: float = min(_FIRST_DELAY_S * 2 ** (refusals - 1), _LONGEST_DELAY_S)
        if retry_after_ms is not None:
            wait_s = retry_after_ms / 1_000
        if not self.rate_limit_wait_s or waited_s + wait_s > self.rate_limit_wait_s:
            return None
        jitter_s = random.uniform(0, min(wait_s * _JITTER, _LONGEST_JITTER_S))  # noqa: S311
        return wait_s + jitter_s


def _backoff_s(retry_after_ms: int | None, refusals: int) -> float:
    """What the daemon asked for, or else doubling; with jitter, so that clients spread."""
    seconds: float = _FIRST_DELAY_S * 2 ** (refusals - 1)
    if retry_after_ms is not None:
        seconds = max(seconds, retry_after_ms / 1_000)
    return min(seconds, _LONGEST_DELAY_S) * random.uniform(1, 1 + _JITTER)  # noqa: S311 - no secret
