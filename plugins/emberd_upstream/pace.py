"""Our own rate to one server: requests and tokens a minute, waited for in the order of coming."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from emberd_limits.buckets import Buckets

__all__ = ["Pace", "TooSlowError", "estimated_tokens"]

_MINUTE_S = 60.0
_STEADY = 0.9
"""The share of a rate that flows steadily; the rest may come at once, so that any minute has no
more than the rate."""
_BYTES_A_TOKEN = 4
_KEY = ""


class TooSlowError(Exception):
    """The rate would make the call wait for `wait_s`, which is longer than it may."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"{wait_s:.3g} s")
        self.wait_s = wait_s


class Pace:
    """Owned by one event loop. A rate of 0 is none."""

    def __init__(
        self,
        requests_per_minute: int,
        tokens_per_minute: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._requests = _buckets(requests_per_minute)
        self._tokens = _buckets(tokens_per_minute)
        self._clock = clock
        self._sleep = sleep
        self._turn = asyncio.Lock()

    async def enter(self, tokens: int, longest_s: float) -> None:
        """Wait until one request of so many tokens may be sent. Raises TooSlowError where that
        takes longer than `longest_s`; nothing is taken then."""
        costs = [(self._requests, 1), (self._tokens, tokens)]
        limits = [(buckets, cost) for buckets, cost in costs if buckets is not None]
        if not limits:
            return
        began = self._clock()
        async with self._turn:
            while True:
                now = self._clock()
                wait_s = max(buckets.wait_s(_KEY, cost, now) for buckets, cost in limits)
                if wait_s <= 0:
                    break
                if now - began + wait_s > longest_s:
                    raise TooSlowError(wait_s)
                await self._sleep(wait_s)
            for buckets, cost in limits:
                buckets.take(_KEY, cost, now)

    def settle(self, estimate: int, counted: int) -> None:
        """The server counted so many tokens instead of the estimate."""
        if self._tokens is not None and counted:
            self._tokens.give_back(_KEY, estimate - counted, self._clock())


def estimated_tokens(texts: Sequence[str]) -> int:
    """A token every four bytes, and one a text at least."""
    return sum(max(len(text.encode()) // _BYTES_A_TOKEN, 1) for text in texts)


def _buckets(per_minute: int) -> Buckets | None:
    if not per_minute:
        return None
    return Buckets(_STEADY * per_minute / _MINUTE_S, max((1 - _STEADY) * per_minute, 1.0))
