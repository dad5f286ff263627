"""The requests of late: the newest, the slowest of the last hour, and those over the slow limit.

Adding one costs less than a microsecond, unless it is among the slowest. Rings of a fixed size
hold plain tuples: some 600 of them, without texts and vectors.
"""

from __future__ import annotations

import itertools
import logging
import math
import time
from bisect import insort
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from emberd.service.api import METHODS
from emberd.wire.insight import RequestRow, RequestRows, RequestStages

if TYPE_CHECKING:
    from emberd.service.callers import Caller
    from emberd.service.trace import Trace

__all__ = ["Kind", "RequestLog"]

Kind = Literal["recent", "slowest", "slow"]

_RECENT: Final = 200
_SLOW: Final = 200
_SLOWEST: Final = 50
_HOUR_S: Final = 3600.0
_BUCKET_S: Final = 600.0
_BUCKETS: Final = 7  # one more than an hour has: the oldest is always partly over

# A dashboard would else show itself above all.
_LISTED: Final = frozenset(name for name, method in METHODS.items() if method.is_listed)

Entry = tuple[
    int, float, str, str, int, int, dict[str, int], int, float, str, dict[str, Any] | None
]
"""The fields of RequestRow, in their order."""

_TIME: Final = 1
_CLIENT: Final = 3
_METHOD: Final = 2
_SECONDS: Final = 8
_ERROR: Final = 9
_NO_HITS: Final[dict[str, int]] = {}


class RequestLog:
    """Owned by the event loop's thread. `numbers` gives each request its id as it comes."""

    def __init__(
        self,
        slow_ms: float,
        logger: logging.Logger,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Requests of more than `slow_ms` are written to the log too; 0 turns that off."""
        self.numbers = itertools.count(1)
        self._slow_ms = slow_ms
        self._slow_s = slow_ms / 1e3 or math.inf
        self._logger = logger
        self._clock = clock
        self._recent: deque[Entry] = deque(maxlen=_RECENT)
        self._slow: deque[Entry] = deque(maxlen=_SLOW)
        self._slowest = _Slowest()

    def add(
        self,
        number: int,
        method: str,
        caller: Caller,
        seconds: float,
        *,
        result: Any = None,
        error: str = "",
        trace: Trace | None = None,
    ) -> None:
        """A request was answered with `result`, or failed with the code `error`; `trace` is there
        where a task worked on it."""
        if method not in _LISTED:
            return
        texts, hits, computed = 0, _NO_HITS, 0
        if method == "embed" and result is not None:
            texts, hits, computed = result["count"], result["hits"], result.get("computed", 0)
        elif trace is not None:
            texts, hits, computed = trace.amounts()
        stages = None if trace is None else trace.stages(seconds)
        now = self._clock()
        entry: Entry = (
            number,
            now - seconds,
            method,
            caller.name,
            caller.id,
            texts,
            hits,
            computed,
            seconds,
            error,
            stages,
        )
        self._recent.append(entry)
        slowest = self._slowest
        if seconds > slowest.floor_s or now >= slowest.until:
            slowest.add(entry, now)
        if seconds > self._slow_s:
            self._slow.append(entry)
            self._write(_row(entry))

    def rows(
        self,
        kind: Kind = "recent",
        *,
        client: str | None = None,
        method: str | None = None,
        failed: bool = False,
        limit: int = _RECENT,
    ) -> RequestRows:
        """Requests, newest first, or slowest first for `slowest`.

        Only those of clients with `client` in their names, of that method, that failed.
        """
        wanted = (
            entry
            for entry in self._entries(kind)
            if (client is None or client.casefold() in entry[_CLIENT].casefold())
            and (method is None or method == entry[_METHOD])
            and (not failed or entry[_ERROR])
        )
        rows = [_row(entry) for entry in itertools.islice(wanted, limit)]
        return RequestRows(requests=rows, slow_ms=self._slow_ms)

    def _entries(self, kind: Kind) -> Iterable[Entry]:
        if kind == "slowest":
            return self._slowest.entries(self._clock())
        return reversed(self._recent if kind == "recent" else self._slow)

    def _write(self, row: RequestRow) -> None:
        stages = msgspec.to_builtins(row.stages)
        spent: dict[str, float] = {**stages.pop("tiers"), **stages}
        fields = {
            "request": row.id,
            "client": row.client,
            "texts": row.texts,
            "computed": row.computed,
            "seconds": row.seconds,
            **({"error": row.error} if row.error else {}),
            **{f"{name}_s": seconds for name, seconds in spent.items() if seconds},
        }
        message = f"{row.method} took {row.seconds:.2f} s"
        # Long work is no fault: `emberd index` may be under way.
        self._logger.info(message, extra={"event": "request.slow", "fields": fields})


class _Slowest:
    """The slowest of each ten minutes, so that those of any hour are among them."""

    def __init__(self) -> None:
        self.floor_s = 0.0
        """A request must take longer to be kept, before `until`."""
        self.until = 0.0
        self._buckets: deque[list[Entry]] = deque(maxlen=_BUCKETS)

    def add(self, entry: Entry, now: float) -> None:
        if now >= self.until:
            self._buckets.append([])
            self.until = now + _BUCKET_S
            self.floor_s = 0.0
        bucket = self._buckets[-1]
        insort(bucket, entry, key=_seconds)
        if len(bucket) > _SLOWEST:
            del bucket[0]
        if len(bucket) == _SLOWEST:
            self.floor_s = _seconds(bucket[0])

    def entries(self, now: float) -> list[Entry]:
        """At most 50, slowest first."""
        found = [
            entry for bucket in self._buckets for entry in bucket if entry[_TIME] > now - _HOUR_S
        ]
        return sorted(found, key=_seconds, reverse=True)[:_SLOWEST]


def _seconds(entry: Entry) -> float:
    return entry[_SECONDS]


def _row(entry: Entry) -> RequestRow:
    fields: dict[str, Any] = dict(zip(RequestRow.__struct_fields__, entry, strict=True))
    fields["stages"] = RequestStages(**(fields["stages"] or {}))
    return RequestRow(**fields)
