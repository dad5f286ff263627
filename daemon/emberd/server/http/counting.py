"""The callers behind the connections, and the counts of their requests."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from emberd.errors import CancelledRequestError
from emberd.service.callers import Caller
from emberd.service.observation import Observation
from emberd.service.request_log import RequestLog
from emberd.service.statistics import Statistics
from emberd.service.trace import CURRENT, Trace

__all__ = ["Callers", "Outcome"]

_NAME_LENGTH = 64


@dataclass(slots=True)
class Outcome:
    """Of one request. One that ends without an answer has failed."""

    is_failed: bool = True
    error: str = CancelledRequestError.code
    """The code, where it has failed."""
    texts: int = 0
    tokens: int = 0
    result: Any = None
    """What the service's `embed` answered."""


class Callers:
    """A caller a connection, from its first request that is let in."""

    def __init__(
        self,
        make: Callable[[str], Caller],
        release: Callable[[Caller], None],
        statistics: Statistics,
        observation: Observation | None = None,
        requests: RequestLog | None = None,
    ) -> None:
        self._make = make
        self._release = release
        self._statistics = statistics
        self._observation = observation
        self._requests = requests
        self._by_connection: dict[Hashable, Caller] = {}

    def of(self, connection: Hashable, agent: str) -> Caller:
        """The caller of a connection, made under its client's name when it is new."""
        caller = self._by_connection.get(connection)
        if caller is None:
            caller = self._by_connection[connection] = self._make(agent[:_NAME_LENGTH])
        return caller

    def name_of(self, connection: Hashable) -> str:
        """The name of a connection's caller; empty before it has one."""
        caller = self._by_connection.get(connection)
        return caller.name if caller else ""

    def forget(self, connection: Hashable) -> None:
        """The connection has ended."""
        if (caller := self._by_connection.pop(connection, None)) is not None:
            self._release(caller)

    def forget_all(self) -> None:
        for connection in list(self._by_connection):
            self.forget(connection)

    @contextmanager
    def counted(self, method: str, caller: Caller, outcome: Outcome) -> Iterator[None]:
        """Count a request as one of the service's `method`, as the socket's sessions do."""
        started = time.perf_counter()
        number, observation, requests = 0, self._observation, self._requests
        if observation is not None:
            number = observation.received(method, caller)
        elif requests is not None:
            number = next(requests.numbers)
        trace = Trace(started)
        token = CURRENT.set(trace)
        caller.requests += 1
        caller.in_flight += 1
        self._statistics.in_flight += 1
        try:
            yield
        finally:
            CURRENT.reset(token)
            seconds = time.perf_counter() - started
            error = outcome.error if outcome.is_failed else ""
            caller.in_flight -= 1
            self._statistics.in_flight -= 1
            caller.failed += outcome.is_failed
            caller.latency.record(seconds)
            self._statistics.record(method, seconds, failed=outcome.is_failed)
            if requests is not None:
                result = None if error else outcome.result
                requests.add(
                    number, method, caller, seconds, result=result, error=error, trace=trace
                )
            if observation is not None:
                observation.ended(
                    number,
                    method,
                    caller,
                    seconds,
                    texts=outcome.texts,
                    tokens=outcome.tokens,
                    error=error,
                )
