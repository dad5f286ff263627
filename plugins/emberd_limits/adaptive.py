"""Requests at the same time, as many as the model's server answers without a queue."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from emberd.errors import RateLimitedError
from emberd.plugins import Demand, Outcome
from emberd_limits.baseline import Baselines
from emberd_limits.settings import AdaptiveSettings
from emberd_limits.shares import Shares
from emberd_limits.window import CONGESTED, AimdWindow

__all__ = ["AdaptiveConcurrency"]

_SHORTEST_WAIT_S: Final = 0.01
_LONGEST_WAIT_S: Final = 5.0
_FIRST_LATENCY_S: Final = 0.1
_SMOOTHING: Final = 0.1
_MOST_MODELS: Final = 256


@dataclass(slots=True)
class _Door:
    """One model's."""

    window: AimdWindow
    shares: Shares = field(default_factory=Shares)
    baselines: Baselines = field(default_factory=Baselines)
    latency_s: float = _FIRST_LATENCY_S
    closed_until: float = -math.inf
    """As an upstream server asked."""


@dataclass(frozen=True, slots=True)
class _Ticket:
    door: _Door
    client: str
    tokens: int
    in_flight: int
    age: int


class AdaptiveConcurrency:
    """A limit for each model, found by AIMD on latency and on an upstream server's refusals.

    While clients are turned away, none holds more than an equal share. A request's size counts:
    latencies are compared with those of about as many tokens. `clock` gives seconds.
    """

    name = "concurrency"

    def __init__(
        self, settings: AdaptiveSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._doors: dict[str, _Door] = {}
        self._admitted = self._refused = 0

    def acquire(self, demand: Demand) -> _Ticket:
        """Raises RateLimitedError with about the time until a place is free."""
        now = self._clock()
        door = self._door(demand.model)
        if now < door.closed_until:
            raise self._refusal(demand, door, door.closed_until - now)
        limit = int(door.window.limit)
        if not door.shares.has_place(demand.client, limit, now):
            wait_s = door.latency_s * (door.shares.waiting(now) + 1) / limit
            wait_s = min(max(wait_s, _SHORTEST_WAIT_S), _LONGEST_WAIT_S)
            door.shares.refuse(demand.client, now + 2 * wait_s)
            raise self._refusal(demand, door, wait_s)
        door.shares.take(demand.client)
        self._admitted += 1
        return _Ticket(door, demand.client, demand.tokens, door.shares.in_flight, door.window.age)

    def report(self, ticket: object, outcome: Outcome) -> None:
        """Frees the place, and learns from how long it was taken."""
        held = cast("_Ticket", ticket)
        door = held.door
        door.shares.give_back(held.client)
        if outcome.status == "limited":
            self._slow_down(held, outcome.retry_after_s)
        elif outcome.status == "ok":
            self._learn(held, outcome.seconds)
        elif outcome.status == "cancelled":
            # Given up, often for a deadline: the answer would have taken longer still.
            baseline = door.baselines.of(held.tokens)
            if baseline and outcome.seconds > CONGESTED * baseline:
                self._sample(held, outcome.seconds / baseline)

    def stats(self) -> Mapping[str, int | float | str]:
        """Demands let in and refused; each model's limit and what is under way."""
        figures: dict[str, int | float | str] = {
            "admitted": self._admitted,
            "refused": self._refused,
        }
        for model, door in self._doors.items():
            figures[f"limit ({model})"] = int(door.window.limit)
            figures[f"in flight ({model})"] = door.shares.in_flight
        return figures

    def close(self) -> None:
        """What was learnt is learnt again in seconds."""

    def _door(self, model: str) -> _Door:
        found = self._doors.get(model)
        if found is None:
            if len(self._doors) >= _MOST_MODELS:
                idle = [name for name, door in self._doors.items() if not door.shares.in_flight]
                for name in idle:
                    del self._doors[name]
            window = AimdWindow(self._settings.min, self._settings.max)
            found = self._doors[model] = _Door(window)
        return found

    def _learn(self, ticket: _Ticket, seconds: float) -> None:
        door = ticket.door
        door.latency_s += _SMOOTHING * (seconds - door.latency_s)
        baseline = door.baselines.of(ticket.tokens)
        door.baselines.add(ticket.tokens, seconds, door.window.round_size)
        if baseline:
            self._sample(ticket, seconds / baseline)

    def _sample(self, ticket: _Ticket, ratio: float) -> None:
        door = ticket.door
        if ticket.age == door.window.age and door.window.sample(ratio, ticket.in_flight):
            door.baselines.forget()

    def _slow_down(self, ticket: _Ticket, retry_after_s: float | None) -> None:
        door = ticket.door
        if ticket.age == door.window.age:
            door.window.refused()
        if retry_after_s is not None and math.isfinite(retry_after_s):
            door.closed_until = max(door.closed_until, self._clock() + retry_after_s)

    def _refusal(self, demand: Demand, door: _Door, wait_s: float) -> RateLimitedError:
        self._refused += 1
        limit = int(door.window.limit)
        why = (
            "its server asked to wait"
            if self._clock() < door.closed_until
            else f"{door.shares.in_flight} requests are under way and {limit} are the limit"
        )
        return RateLimitedError(
            f"The model {demand.model!r} is busy: {why}; try again in {wait_s:.3g} s.",
            retry_after_ms=math.ceil(wait_s * 1e3),
            details={"limit": "concurrency", "stated": limit, "model": demand.model},
        )
