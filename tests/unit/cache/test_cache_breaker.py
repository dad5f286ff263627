from __future__ import annotations

from cache_helpers import Clock

from emberd.cache.breaker import Breaker, BreakerLimits, BreakerState

LIMITS = BreakerLimits(failures=3, slow_s=1.0, pause_s=5.0, longest_pause_s=20.0)


def tripped(clock: Clock) -> Breaker:
    breaker = Breaker(clock, LIMITS)
    for _ in range(3):
        assert breaker.allows()
        breaker.failed("refused")
    return breaker


def test_it_trips_on_failures_in_a_row_only():
    breaker = Breaker(Clock(), LIMITS)
    for _ in range(5):
        breaker.failed("refused")
        breaker.failed("refused")
        breaker.succeeded(0.1)
    assert not breaker.is_tripped
    assert tripped(Clock()).is_tripped


def test_a_tripped_one_lets_nothing_pass_until_its_pause_is_over():
    clock = Clock()
    breaker = tripped(clock)
    assert not breaker.allows()
    assert breaker.reason == "refused"
    clock.advance(4.9)
    assert not breaker.allows()
    clock.advance(0.1)
    assert breaker.allows()
    assert breaker.state is BreakerState.PROBING


def test_one_probe_at_a_time():
    clock = Clock()
    breaker = tripped(clock)
    clock.advance(5)
    assert breaker.allows()
    assert not breaker.allows()


def test_a_probe_that_succeeds_closes_it():
    clock = Clock()
    breaker = tripped(clock)
    clock.advance(5)
    assert breaker.allows()
    breaker.succeeded(0.1)
    assert not breaker.is_tripped
    assert breaker.reason == ""
    assert breaker.allows()


def test_each_failed_probe_doubles_the_pause_up_to_the_longest():
    clock = Clock()
    breaker = tripped(clock)
    for pause_s in (5, 10, 20, 20):
        clock.advance(pause_s - 0.1)
        assert not breaker.allows()
        clock.advance(0.1)
        assert breaker.allows()
        breaker.failed("still refused")
    assert breaker.trips == 5


def test_a_probe_that_is_never_reported_does_not_hold_it_open_for_ever():
    clock = Clock()
    breaker = tripped(clock)
    clock.advance(5)
    assert breaker.allows()
    clock.advance(20)
    assert breaker.allows()


def test_slow_is_as_bad_as_failing():
    breaker = Breaker(Clock(), LIMITS)
    for _ in range(3):
        breaker.succeeded(1.5)
    assert breaker.is_tripped
    assert "slow" in breaker.reason
