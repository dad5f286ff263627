"""The concurrency limit against simulated servers whose capacity the test knows."""

from __future__ import annotations

import statistics

import pytest
from simulated_server import Simulation, Worker

from emberd.errors import RateLimitedError
from emberd.testing.rate_limiter import sample_demand, sample_outcome
from emberd_limits.adaptive import AdaptiveConcurrency
from emberd_limits.settings import AdaptiveSettings
from emberd_limits.shares import Shares


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def started(server: Simulation, *clients: tuple[str, int], most: int = 200) -> AdaptiveConcurrency:
    limiter = AdaptiveConcurrency(AdaptiveSettings(enabled=True, max=most), server.clock)
    server.use(limiter, [Worker(name) for name, count in clients for _ in range(count)])
    return limiter


def utilisation(server: Simulation, seconds: float) -> float:
    """Share of what the server could do that it did in the run's seconds."""
    return server.finished.total() * server.service_s / (server.places * seconds)


@pytest.mark.parametrize("noise", [0.0, 0.2])
@pytest.mark.parametrize("places", [1, 4, 12, 40])
def test_the_limit_comes_near_what_the_server_can_do_at_once(places: int, noise: float) -> None:
    server = Simulation(places, noise=noise)
    started(server, ("a", 2 * places + 4), ("b", 2 * places + 4))
    server.run(20)
    server.run(40)
    assert 0.9 * places <= statistics.mean(server.limits) <= 1.8 * places
    assert utilisation(server, 40) >= 0.85
    assert statistics.median(server.latencies) <= 2 * server.service_s


def test_without_a_limit_the_same_clients_would_wait_in_a_queue() -> None:
    """What the tests above would measure without the limiter."""
    server = Simulation(4)
    settings = AdaptiveSettings(enabled=True, min=200, max=200)
    server.use(AdaptiveConcurrency(settings, server.clock), [Worker("a")] * 40)
    server.run(20)
    assert statistics.median(server.latencies) > 9 * server.service_s


@pytest.mark.parametrize("places", [4, 16])
@pytest.mark.parametrize("factor", [0.5, 2])
def test_it_follows_a_capacity_that_changes(places: int, factor: float) -> None:
    server = Simulation(places, noise=0.1)
    started(server, ("a", 4 * places), ("b", 4 * places))
    server.run(20)
    server.places = int(places * factor)
    server.run(20)
    server.run(30)
    assert 0.8 * server.places <= statistics.mean(server.limits) <= 1.8 * server.places
    assert utilisation(server, 30) >= 0.8


def test_a_server_that_has_become_slower_is_still_made_use_of() -> None:
    server = Simulation(8, noise=0.1)
    started(server, ("a", 40))
    server.run(20)
    server.service_s *= 5
    server.run(60)
    server.run(60)
    assert utilisation(server, 60) >= 0.8
    assert statistics.mean(server.limits) <= 1.8 * server.places


def test_equal_clients_get_equal_shares() -> None:
    server = Simulation(8, noise=0.2)
    started(server, ("a", 30), ("b", 30), ("c", 30), ("d", 30))
    server.run(10)
    server.run(40)
    done = list(server.finished.values())
    jain = sum(done) ** 2 / (len(done) * sum(count**2 for count in done))
    assert len(done) == 4
    assert jain >= 0.98


def test_a_client_that_asks_for_much_takes_nothing_from_those_that_ask_for_little() -> None:
    server = Simulation(8)
    started(server, ("hog", 60), ("light", 2))
    server.run(10)
    server.run(40)
    alone = 2 * 40 / server.service_s
    assert server.finished["light"] >= 0.6 * alone
    assert utilisation(server, 40) >= 0.9


def test_one_client_alone_may_take_everything() -> None:
    server = Simulation(12)
    started(server, ("a", 40))
    server.run(10)
    server.run(20)
    assert utilisation(server, 20) >= 0.9


def test_refusals_of_the_server_are_learnt_from() -> None:
    server = Simulation(100, refuses_at=10)
    started(server, ("a", 40))
    server.run(10)
    server.run(20)
    assert 6 <= statistics.mean(server.limits) <= 11


def test_nothing_is_let_in_while_the_server_asked_to_wait(clock: Clock) -> None:
    limiter = AdaptiveConcurrency(AdaptiveSettings(enabled=True, min=8), clock)
    ticket = limiter.acquire(sample_demand())
    limiter.report(ticket, sample_outcome("limited", retry_after_s=7.5))
    with pytest.raises(RateLimitedError, match="asked to wait") as caught:
        limiter.acquire(sample_demand())
    assert caught.value.retry_after_ms == 7_500
    limiter.acquire(sample_demand(model="another"))
    clock.now += 7.5
    limiter.acquire(sample_demand())


def test_one_crowd_of_refusals_is_one_cut(clock: Clock) -> None:
    limiter = AdaptiveConcurrency(AdaptiveSettings(enabled=True, min=1, max=2), clock)
    tickets = [limiter.acquire(sample_demand()) for _ in range(2)]
    for ticket in tickets:
        limiter.report(ticket, sample_outcome("limited"))
    assert limiter.stats()["limit (model)"] == 1
    limiter.report(limiter.acquire(sample_demand()), sample_outcome())


def test_the_limit_keeps_to_its_bounds() -> None:
    server = Simulation(100)
    limiter = started(server, ("a", 40), most=6)
    server.run(20)
    assert limiter.stats()["limit (m)"] == 6
    server.refuses_at = 1
    server.run(20)
    assert limiter.stats()["limit (m)"] == 1


def test_a_limit_that_is_not_used_does_not_grow() -> None:
    server = Simulation(100)
    limiter = started(server, ("a", 1))
    server.run(60)
    assert limiter.stats()["limit (m)"] == 2


def test_large_demands_are_not_taken_for_a_slow_server() -> None:
    server = Simulation(12)
    limiter = AdaptiveConcurrency(AdaptiveSettings(enabled=True, max=200), server.clock)
    workers = [Worker("small", 100)] * 30 + [Worker("large", 2_000)] * 10
    server.use(limiter, workers)
    server.run(20)
    server.run(60)
    work_s = sum(server.finished[w.client] * w.tokens / 100 for w in workers[::30])
    assert work_s * server.service_s / (12 * 60) >= 0.8


def test_what_was_given_up_late_counts_as_slow(clock: Clock) -> None:
    limiter = AdaptiveConcurrency(AdaptiveSettings(enabled=True), clock)
    for _ in range(200):
        tickets = [limiter.acquire(sample_demand()) for _ in range(2)]
        for ticket in tickets:
            limiter.report(ticket, sample_outcome(seconds=0.01))
    before = limiter.stats()["limit (model)"]
    for _ in range(40):
        limiter.report(limiter.acquire(sample_demand()), sample_outcome("cancelled", seconds=0.0))
    assert limiter.stats()["limit (model)"] == before
    for _ in range(40):
        limiter.report(limiter.acquire(sample_demand()), sample_outcome("cancelled", seconds=5.0))
    assert int(limiter.stats()["limit (model)"]) < int(before)


def test_places_are_given_back_however_work_ends(clock: Clock) -> None:
    limiter = AdaptiveConcurrency(AdaptiveSettings(enabled=True), clock)
    for status in ("ok", "failed", "limited", "cancelled") * 10:
        limiter.report(limiter.acquire(sample_demand()), sample_outcome(status))
    assert limiter.stats()["in flight (model)"] == 0


def test_a_refused_client_that_never_comes_back_reserves_nothing_for_long() -> None:
    shares = Shares()
    shares.take("a")
    shares.refuse("b", until=10.0)
    assert not shares.has_place("a", 2, now=9.0)
    assert shares.has_place("b", 2, now=9.0)
    assert shares.has_place("a", 2, now=11.0)
