"""What every rate limiter promises, as tests to subclass.

class TestMyLimiter(RateLimiterContract):
    refuses_within = 100

    @pytest.fixture
    def limiter(self):
        limiter = MyLimiter(requests_per_minute=50)
        yield limiter
        limiter.close()
"""
# ruff: noqa: S101 - these are tests, wherever they live

from __future__ import annotations

import contextlib
import threading
import tracemalloc
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import pytest

from emberd.errors import RateLimitedError
from emberd.plugins.abilities import ClientLimits
from emberd.plugins.contracts import Demand, Outcome, RateLimiter
from emberd.wire.snapshot import ClientLimit

__all__ = ["RateLimiterContract", "sample_demand", "sample_outcome"]

_STATUSES: tuple[Literal["ok", "failed", "limited", "cancelled"], ...] = (
    "ok",
    "failed",
    "limited",
    "cancelled",
)
_LONGEST_S = 30.0
_CLIENTS = 10_000
_GROWTH_BYTES = 4 << 20


def sample_demand(client: str = "one", **fields: Any) -> Demand:
    """A demand for one short text of the namespace `default`."""
    values: dict[str, Any] = {
        "client_id": 1,
        "namespace": "default",
        "model": "model",
        "texts": 1,
        "tokens": 8,
        "priority": "interactive",
    }
    return Demand(client=client, **{**values, **fields})


def sample_outcome(
    status: Literal["ok", "failed", "limited", "cancelled"] = "ok", **fields: Any
) -> Outcome:
    """How such a demand may end."""
    tokens = 8 if status == "ok" else 0
    return Outcome(status=status, **{"seconds": 0.01, "tokens": tokens, **fields})


class RateLimiterContract:
    """Subclass it and give it a pytest fixture `limiter`: one that has let in nothing yet and lets
    in a first `sample_demand()`, closed at the end."""

    refuses_within: ClassVar[int] = 0
    """So many demands of one client, none of them reported, are too many; 0 where nothing is."""

    def test_it_is_a_rate_limiter(self, limiter: RateLimiter) -> None:
        assert isinstance(limiter, RateLimiter)
        assert limiter.name

    def test_a_first_demand_is_let_in(self, limiter: RateLimiter) -> None:
        limiter.report(limiter.acquire(sample_demand()), sample_outcome())

    @pytest.mark.parametrize("status", _STATUSES)
    def test_work_may_end_in_every_way(
        self, limiter: RateLimiter, status: Literal["ok", "failed", "limited", "cancelled"]
    ) -> None:
        ticket = limiter.acquire(sample_demand())
        limiter.report(ticket, sample_outcome(status))

    def test_an_upstream_servers_wish_to_wait_is_taken(self, limiter: RateLimiter) -> None:
        limiter.report(
            limiter.acquire(sample_demand()), sample_outcome("limited", retry_after_s=2.5)
        )
        for ticket in _tickets(limiter, sample_demand()):
            limiter.report(ticket, sample_outcome())

    def test_tickets_may_be_reported_in_any_order(self, limiter: RateLimiter) -> None:
        tickets = _tickets(limiter, sample_demand(), 5)
        for ticket in tickets[1::2] + tickets[::2]:
            limiter.report(ticket, sample_outcome())
        assert tickets

    def test_what_was_given_up_before_it_began_may_be_asked_again(
        self, limiter: RateLimiter
    ) -> None:
        """Another limiter refused it, or its client has gone."""
        for _ in range(max(self.refuses_within, 10)):
            for ticket in _tickets(limiter, sample_demand()):
                limiter.report(ticket, sample_outcome("cancelled", seconds=0.0))
        limiter.report(limiter.acquire(sample_demand()), sample_outcome())

    def test_a_refusal_says_when_to_come_back(self, limiter: RateLimiter) -> None:
        if not self.refuses_within:
            pytest.skip("it refuses nothing")
        _tickets(limiter, sample_demand(), self.refuses_within)
        with pytest.raises(RateLimitedError) as caught:
            limiter.acquire(sample_demand())
        assert isinstance(caught.value.retry_after_ms, int)
        assert caught.value.retry_after_ms > 0
        assert caught.value.message

    def test_what_was_let_in_before_a_refusal_is_reported_as_ever(
        self, limiter: RateLimiter
    ) -> None:
        for ticket in _tickets(limiter, sample_demand(), max(self.refuses_within, 10)):
            limiter.report(ticket, sample_outcome())

    def test_it_answers_at_once_also_where_it_refuses(self, limiter: RateLimiter) -> None:
        _within(lambda: _tickets(limiter, sample_demand(), max(self.refuses_within, 10)))

    def test_the_smallest_and_the_largest_demand_are_answered(self, limiter: RateLimiter) -> None:
        small = sample_demand("", tokens=1)
        large = sample_demand("x" * 64, texts=16_384, tokens=10**9, priority="bulk")
        for demand in (small, large):
            for ticket in _tickets(limiter, demand):
                limiter.report(ticket, sample_outcome(tokens=demand.tokens))

    def test_clients_that_come_and_go_are_forgotten(self, limiter: RateLimiter) -> None:
        _come_and_go(limiter, 0)
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            _come_and_go(limiter, _CLIENTS)
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert after - before < _GROWTH_BYTES

    def test_its_figures_are_plain(self, limiter: RateLimiter) -> None:
        limiter.report(limiter.acquire(sample_demand()), sample_outcome())
        figures = limiter.stats()
        assert all(isinstance(name, str) for name in figures)
        assert all(isinstance(value, int | float | str) for value in figures.values())

    def test_what_it_says_of_clients_fits_and_takes_nothing(self, limiter: RateLimiter) -> None:
        if not isinstance(limiter, ClientLimits):
            pytest.skip("it says nothing of clients, which is no duty")
        clients = [("one", "default"), ("", "default"), ("other", "nowhere")]
        for _ in range(max(2 * self.refuses_within, 10)):
            found = limiter.client_limits(clients)
            assert len(found) == len(clients)
            assert all(each is None or isinstance(each, ClientLimit) for each in found)
        limiter.report(limiter.acquire(sample_demand()), sample_outcome())
        if self.refuses_within:
            _tickets(limiter, sample_demand(), self.refuses_within)
            told = limiter.client_limits(clients)[0]
            assert told is not None
            assert told.state in ("near", "limited")

    def test_a_second_close_does_nothing(self, limiter: RateLimiter) -> None:
        limiter.close()
        limiter.close()

    def test_work_may_end_after_the_close(self, limiter: RateLimiter) -> None:
        ticket = limiter.acquire(sample_demand())
        limiter.close()
        limiter.report(ticket, sample_outcome("cancelled"))


def _tickets(limiter: RateLimiter, demand: Demand, count: int = 1) -> list[object]:
    """What it gave for `count` such demands; nothing for those that it refused."""
    found: list[object] = []
    for _ in range(count):
        with contextlib.suppress(RateLimitedError):
            found.append(limiter.acquire(demand))
    return found


def _come_and_go(limiter: RateLimiter, first: int) -> None:
    for number in range(first, first + _CLIENTS):
        demand = sample_demand(f"client-{number}", client_id=number)
        for ticket in _tickets(limiter, demand):
            limiter.report(ticket, sample_outcome())


def _within(work: Callable[[], object]) -> None:
    """On a thread of its own, so that a limiter that waits fails this test and does not hang it."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(_LONGEST_S)
    assert not thread.is_alive(), "it waits instead of refusing"
