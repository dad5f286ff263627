"""What watches one plugin's calls: counts, times, and trips it when too many of them fail."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType

from emberd.errors import CacheUnavailableError, RateLimitedError, UpstreamUnavailableError
from emberd.plugins.faults import contained, in_words
from emberd.telemetry.histogram import Histogram
from emberd.wire.snapshot import Latency

__all__ = ["ERRORS", "WINDOW_S", "Guard"]

WINDOW_S = 60.0
"""Errors that are older do not trip."""
ERRORS = 10

# Not the plugin's doing: what it depends on is away, and may come back by itself.
_OUTAGES = (UpstreamUnavailableError, CacheUnavailableError)
_NO_ERRORS = (RateLimitedError, asyncio.CancelledError, GeneratorExit)


class Guard:
    """One a plugin, shared by all that the plugin registered; safe from any thread.

    `errors` errors within 60 s trip it, and it then stays inactive until `reset`. Outages
    (UpstreamUnavailableError, CacheUnavailableError) are counted but do not trip. `on_trip` is
    called on the thread of the call that tripped it.
    """

    def __init__(
        self,
        name: str,
        *,
        errors: int = ERRORS,
        on_trip: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.calls = self.errors = self.trips = self.dropped_records = 0
        self.busy_s = 0.0
        self.latency = Latency()
        self.message = ""
        """Of the last error."""
        self.tripped_by = ""
        self.is_active = True
        """Neither tripped nor disabled: its objects may be called."""
        self.is_tripped = False
        self._is_enabled = True
        self._limit = errors
        self._on_trip = on_trip
        self._clock = clock
        self._lock = threading.Lock()
        self._recent: deque[float] = deque(maxlen=errors)
        self._durations = Histogram()

    def watch(self) -> AbstractContextManager[None]:
        """Count a call and its time. An error is counted, may trip, and goes on.

        RateLimitedError and cancellation are no errors. What is no Exception (SystemExit and its
        like) goes on as PluginFailedError.
        """
        return _Watch(self)

    def failed(self, message: str) -> None:
        """Count an error that the core found: a wrong length, too slow, and so on."""
        self._fail(message, may_trip=True)

    def dropped(self, count: int) -> None:
        """Count records that an observer was too slow to take."""
        with self._lock:
            self.dropped_records += count

    def disable(self) -> None:
        """Inactive from here on."""
        with self._lock:
            self._is_enabled = self.is_active = False

    def reset(self) -> None:
        """Active again, with no errors remembered; the counts stay."""
        with self._lock:
            self._is_enabled = self.is_active = True
            self.is_tripped = False
            self.message = self.tripped_by = ""
            self._recent.clear()

    def take_latency(self) -> None:
        """Begin a window; `latency` is of the one that ends here."""
        with self._lock:
            self.latency = self._durations.take()

    def _done(self, seconds: float, error: BaseException | None) -> None:
        with self._lock:
            self.calls += 1
            self.busy_s += seconds
            self._durations.record(seconds)
        if error is not None and not isinstance(error, _NO_ERRORS):
            self._fail(in_words(error), may_trip=not isinstance(error, _OUTAGES))

    def _fail(self, message: str, *, may_trip: bool) -> None:
        with self._lock:
            self.errors += 1
            self.message = message
            if not may_trip:
                return
            now = self._clock()
            self._recent.append(now)
            if self.is_tripped or len(self._recent) < self._limit:
                return
            if now - self._recent[0] > WINDOW_S:
                return
            self.is_tripped = True
            self.is_active = False
            self.trips += 1
            self.tripped_by = f"{self._limit} errors within {WINDOW_S:g} s, the last: {message}"
            told = self.tripped_by
        if self._on_trip is not None:
            self._on_trip(told)


class _Watch(AbstractContextManager[None]):
    # A class, as a generator's context costs three times as much.
    __slots__ = ("_guard", "_started")

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._guard._done(time.perf_counter() - self._started, error)
        if error is not None and not isinstance(error, (Exception, *_NO_ERRORS)):
            raise contained(error) from error
