"""A server and its clients, simulated event by event behind a limiter: no threads, no real time."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from emberd.errors import RateLimitedError
from emberd.plugins import Demand, Outcome, RateLimiter

__all__ = ["Simulation", "Worker"]


@dataclass
class Worker:
    """Asks, waits for the answer (or as long as it is told), and asks again at once."""

    client: str
    tokens: int = 100


@dataclass
class Simulation:
    """`places` requests are worked on at the same time; others wait in a queue, unless the server
    refuses them (`refuses_at` requests in its house)."""

    places: int
    service_s: float = 0.05
    noise: float = 0.0
    refuses_at: int = 0
    retry_after_s: float | None = None
    now: float = 0.0
    finished: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    limits: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._queue: deque[tuple[Worker, object, float]] = deque()
        self._busy = 0
        self._random = random.Random(7)

    def clock(self) -> float:
        return self.now

    def use(self, limiter: RateLimiter, workers: Sequence[Worker]) -> None:
        """The workers begin to ask."""
        self._limiter = limiter
        for worker in workers:
            self._at(
                self._random.uniform(0, self.service_s), lambda worker=worker: self._ask(worker)
            )

    def run(self, seconds: float) -> None:
        """Let time pass; counts begin anew."""
        self.finished.clear()
        self.latencies.clear()
        self.limits.clear()
        end = self.now + seconds
        while self._events and self._events[0][0] <= end:
            self.now, _, act = heapq.heappop(self._events)
            act()
        self.now = end

    def _at(self, delay_s: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + delay_s, next(self._numbers), act))

    def _ask(self, worker: Worker) -> None:
        demand = Demand(
            client=worker.client,
            client_id=1,
            namespace="default",
            model="m",
            texts=1,
            tokens=worker.tokens,
            priority="interactive",
        )
        try:
            ticket = self._limiter.acquire(demand)
        except RateLimitedError as exc:
            wait_s = (exc.retry_after_ms or 0) / 1e3 * self._random.uniform(1, 1.25)
            self._at(wait_s, lambda: self._ask(worker))
            return
        limit = self._limiter.stats().get("limit (m)", 0)
        self.limits.append(int(limit))
        if self.refuses_at and self._busy + len(self._queue) >= self.refuses_at:
            self._finish(worker, ticket, self.now, "limited")
            return
        self._queue.append((worker, ticket, self.now))
        self._serve()

    def _serve(self) -> None:
        while self._queue and self._busy < self.places:
            worker, ticket, began = self._queue.popleft()
            self._busy += 1
            seconds = self.service_s * worker.tokens / 100
            if self.noise:
                seconds *= self._random.lognormvariate(0, self.noise)
            self._at(seconds, lambda w=worker, t=ticket, b=began: self._done(w, t, b))

    def _done(self, worker: Worker, ticket: object, began: float) -> None:
        self._busy -= 1
        self.finished[worker.client] += 1
        self.latencies.append(self.now - began)
        self._finish(worker, ticket, began, "ok")
        self._serve()

    def _finish(
        self, worker: Worker, ticket: object, began: float, status: Literal["ok", "limited"]
    ) -> None:
        wait_s = self.retry_after_s if status == "limited" else None
        outcome = Outcome(
            status=status, seconds=self.now - began, tokens=worker.tokens, retry_after_s=wait_s
        )
        self._limiter.report(ticket, outcome)
        self._at(0.0 if status == "ok" else 0.02, lambda: self._ask(worker))
