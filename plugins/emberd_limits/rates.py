"""Requests and tokens a minute, for each client and for each namespace."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from emberd.errors import RateLimitedError
from emberd.plugins import ClientLimit, Demand, Outcome
from emberd_limits.buckets import Buckets
from emberd_limits.settings import LimitsSettings, Rate
from emberd_limits.standing import closest, standing

__all__ = ["RateLimits"]

_MINUTE_S = 60.0
_ROUNDING_MS = 1e-3

Unit = Literal["requests", "tokens"]


@dataclass(frozen=True, slots=True)
class _Limit:
    """One stated rate with a bucket for each client, or for the one namespace that it is about."""

    whose: Literal["client", "namespace"]
    unit: Unit
    stated: int
    buckets: Buckets


@dataclass(frozen=True, slots=True)
class _Charge:
    """What one demand took from one bucket."""

    limit: _Limit
    key: str
    cost: int


class RateLimits:
    """Keeps every rate of the settings, and in any minute no more than it states.

    A request over several rates takes from all of their buckets or from none. Tokens are settled
    at the report: an estimate that was too high is given back, one that was too low is owed.
    """

    name = "rates"

    def __init__(
        self, settings: LimitsSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._of_clients = _limits("client", settings.client, settings.margin)
        self._of_namespaces = {
            name: _limits("namespace", rate, settings.margin)
            for name, rate in settings.namespace.items()
        }
        self._admitted = self._refused = 0

    @property
    def is_needed(self) -> bool:
        """At least one rate is set."""
        return any([self._of_clients, *self._of_namespaces.values()])

    def acquire(self, demand: Demand) -> list[_Charge]:
        """Raises RateLimitedError with the milliseconds after which this very demand fits."""
        now = self._clock()
        charges = self._charges(demand)
        waits = [charge.limit.buckets.wait_s(charge.key, charge.cost, now) for charge in charges]
        wait_s = max(waits, default=0.0)
        if wait_s > 0:
            self._refused += 1
            raise _refusal(charges[waits.index(wait_s)], wait_s)
        for charge in charges:
            charge.limit.buckets.take(charge.key, charge.cost, now)
        self._admitted += 1
        return charges

    def report(self, ticket: object, outcome: Outcome) -> None:
        """Settle the tokens; what never began is given back whole."""
        now = self._clock()
        for charge in cast("list[_Charge]", ticket):
            unused = _unused(charge, outcome)
            if unused:
                charge.limit.buckets.give_back(charge.key, unused, now)

    def client_limits(self, clients: Sequence[tuple[str, str]]) -> list[ClientLimit | None]:
        """By the fullest bucket of each client and namespace."""
        now = self._clock()
        return [self._standing(client, namespace, now) for client, namespace in clients]

    def stats(self) -> Mapping[str, int | float | str]:
        """Demands let in and refused, and the clients that owe something."""
        known = max((len(limit.buckets) for limit in self._of_clients), default=0)
        return {"admitted": self._admitted, "refused": self._refused, "clients": known}

    def close(self) -> None:
        """A minute's rates need not survive a restart."""

    def _standing(self, client: str, namespace: str, now: float) -> ClientLimit | None:
        keys = {"client": client, "namespace": namespace}
        limits = [*self._of_clients, *self._of_namespaces.get(namespace, [])]
        standings = [
            standing(
                limit.buckets.used_ratio(keys[limit.whose], now),
                # What is smallest: a request is one, and a text is a token at least.
                limit.buckets.wait_s(keys[limit.whose], 1, now),
                f"{limit.unit} a minute",
            )
            for limit in limits
        ]
        return closest(standings)

    def _charges(self, demand: Demand) -> list[_Charge]:
        amounts: dict[Unit, int] = {"requests": 1, "tokens": demand.tokens}
        keys = {"client": demand.client, "namespace": demand.namespace}
        limits = [*self._of_clients, *self._of_namespaces.get(demand.namespace, [])]
        return [_Charge(limit, keys[limit.whose], amounts[limit.unit]) for limit in limits]


def _limits(whose: Literal["client", "namespace"], rate: Rate, margin: float) -> list[_Limit]:
    stated: dict[Unit, int] = {
        "requests": rate.requests_per_minute,
        "tokens": rate.tokens_per_minute,
    }
    return [
        # In a minute: margin * limit steadily, and once the burst, which is the rest.
        _Limit(
            whose, unit, limit, Buckets(margin * limit / _MINUTE_S, max(limit * (1 - margin), 1))
        )
        for unit, limit in stated.items()
        if limit
    ]


def _unused(charge: _Charge, outcome: Outcome) -> int:
    """What of a charge is given back; negative where more was used."""
    if not outcome.tokens and outcome.status == "ok":
        return 0  # done, and not counted by the model: the estimate stands
    if charge.limit.unit == "tokens":
        return charge.cost - outcome.tokens
    # A request that an upstream server refused has reached it.
    is_unused = not outcome.tokens and outcome.status != "limited"
    return charge.cost if is_unused else 0


def _refusal(charge: _Charge, wait_s: float) -> RateLimitedError:
    limit = charge.limit
    return RateLimitedError(
        f"The {limit.whose} {charge.key!r} is over its {limit.stated:,} {limit.unit} a minute; "
        f"try again in {wait_s:.3g} s.",
        retry_after_ms=max(math.ceil(wait_s * 1e3 - _ROUNDING_MS), 1),
        details={
            "limit": f"{limit.unit}_per_minute",
            "stated": limit.stated,
            limit.whose: charge.key,
        },
    )
