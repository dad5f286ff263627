"""Rates with a clock that the test moves."""

from __future__ import annotations

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberd.errors import RateLimitedError
from emberd.plugins import ClientLimits
from emberd.testing.rate_limiter import sample_demand, sample_outcome
from emberd_limits.buckets import MOST_KEYS, Buckets
from emberd_limits.rates import RateLimits
from emberd_limits.settings import LimitsSettings, Rate


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def limits(clock: Clock, margin: float = 0.9, **rate: int) -> RateLimits:
    return RateLimits(LimitsSettings(client=Rate(**rate), margin=margin), clock)


def burst_of(limiter: RateLimits, **fields: object) -> int:
    """How many such demands are let in at once."""
    for count in range(10_000):
        try:
            limiter.acquire(sample_demand(**fields))  # type: ignore[arg-type]
        except RateLimitedError:
            return count
    raise AssertionError("nothing was refused")


STEPS = st.lists(
    st.tuples(st.floats(0, 30, allow_nan=False), st.floats(0.1, 20, allow_nan=False)), max_size=60
)


@given(steps=STEPS, per_s=st.floats(0.05, 10), burst=st.floats(1, 20))
def test_no_window_sees_more_than_the_burst_and_the_rate(
    steps: list[tuple[float, float]], per_s: float, burst: float
) -> None:
    buckets, now = Buckets(per_s, burst), 0.0
    taken: list[tuple[float, float]] = []
    for pause_s, cost in steps:
        now += pause_s
        if not buckets.wait_s("a", cost, now):
            buckets.take("a", cost, now)
            taken.append((now, cost))
    for first, (began, _) in enumerate(taken):
        for last in range(first, len(taken)):
            window = taken[first : last + 1]
            most = max(burst, *(cost for _, cost in window))
            total = sum(cost for _, cost in window)
            assert total <= most + per_s * (window[-1][0] - began) + 1e-6


@given(steps=STEPS, cost=st.floats(0.1, 30), per_s=st.floats(0.05, 10), burst=st.floats(1, 20))
def test_the_wait_is_exact(
    steps: list[tuple[float, float]], cost: float, per_s: float, burst: float
) -> None:
    buckets, now = Buckets(per_s, burst), 0.0
    for pause_s, taken in steps:
        now += pause_s
        buckets.take("a", taken, now)
    wait_s = buckets.wait_s("a", cost, now)
    assert buckets.wait_s("a", cost, now + wait_s) == pytest.approx(0, abs=1e-6)
    if wait_s > 1e-3:
        assert buckets.wait_s("a", cost, now + wait_s - 1e-3) > 0


@given(steps=STEPS, back=st.floats(0, 1))
def test_what_is_given_back_was_never_taken(steps: list[tuple[float, float]], back: float) -> None:
    one, other, now = Buckets(2, 5), Buckets(2, 5), 0.0
    for pause_s, cost in steps:
        now += pause_s
        one.take("a", cost, now)
        one.give_back("a", cost * back, now)
        other.take("a", cost * (1 - back), now)
        assert one.wait_s("a", 5, now) == pytest.approx(other.wait_s("a", 5, now), abs=1e-6)


def test_keys_that_owe_nothing_are_forgotten() -> None:
    buckets = Buckets(1, 5)
    for number in range(1_000):
        buckets.take(str(number), 1, number * 2.0)
    assert len(buckets) < 100


def test_of_too_many_keys_those_that_owe_least_are_forgotten() -> None:
    buckets = Buckets(1, 5)
    buckets.take("greedy", 1_000, 0)
    for number in range(3 * MOST_KEYS):
        buckets.take(str(number), 1, 0)
    assert len(buckets) <= MOST_KEYS
    assert buckets.wait_s("greedy", 1, 0) > 900


@pytest.mark.parametrize("stated", [1, 2, 7, 60, 600])
@pytest.mark.parametrize("margin", [0.5, 0.9, 0.99])
def test_no_minute_sees_more_than_the_stated_requests(
    clock: Clock, stated: int, margin: float
) -> None:
    limiter = limits(clock, margin, requests_per_minute=stated)
    times: list[float] = []
    for _ in range(1_000):
        times += [clock.now] * burst_of(limiter)
        clock.now += 0.2
    for first, began in enumerate(times):
        assert bisect_left(times, began + 60) - first <= stated
    assert len(times) >= margin * stated * 2


def test_a_refusal_says_exactly_when_the_demand_fits(clock: Clock) -> None:
    limiter = limits(clock, requests_per_minute=7)
    burst_of(limiter)
    with pytest.raises(RateLimitedError) as caught:
        limiter.acquire(sample_demand("one"))
    wait_ms = caught.value.retry_after_ms
    assert wait_ms is not None
    clock.now += (wait_ms - 1) / 1e3
    with pytest.raises(RateLimitedError):
        limiter.acquire(sample_demand("one"))
    clock.now += 1 / 1e3
    limiter.acquire(sample_demand("one"))


def test_a_refusal_names_the_limit_and_who_is_over_it(clock: Clock) -> None:
    limiter = limits(clock, requests_per_minute=10)
    burst_of(limiter)
    with pytest.raises(RateLimitedError, match="'one' is over its 10 requests a minute") as caught:
        limiter.acquire(sample_demand("one"))
    assert caught.value.details == {
        "limit": "requests_per_minute",
        "stated": 10,
        "client": "one",
    }


def test_clients_do_not_share_a_rate(clock: Clock) -> None:
    limiter = limits(clock, requests_per_minute=10)
    burst_of(limiter, client="one")
    assert burst_of(limiter, client="two") == 1


def test_the_clients_of_a_namespace_share_its_rate(clock: Clock) -> None:
    rates = {"team": Rate(requests_per_minute=20)}
    limiter = RateLimits(LimitsSettings(namespace=rates), clock)
    limiter.acquire(sample_demand("one", namespace="team"))
    limiter.acquire(sample_demand("two", namespace="team"))
    with pytest.raises(RateLimitedError, match="namespace 'team'"):
        limiter.acquire(sample_demand("three", namespace="team"))
    limiter.acquire(sample_demand("three"))


def test_one_limit_that_refuses_leaves_the_others_untouched(clock: Clock) -> None:
    settings = LimitsSettings(
        client=Rate(requests_per_minute=100),
        namespace={"team": Rate(requests_per_minute=1)},
    )
    limiter = RateLimits(settings, clock)
    limiter.acquire(sample_demand(namespace="team"))
    for _ in range(50):
        with pytest.raises(RateLimitedError, match="namespace"):
            limiter.acquire(sample_demand(namespace="team"))
    assert burst_of(limiter) == 9


def test_tokens_are_settled_with_what_the_model_counted(clock: Clock) -> None:
    limiter = limits(clock, tokens_per_minute=1_000)
    ticket = limiter.acquire(sample_demand(tokens=100))
    limiter.report(ticket, sample_outcome(tokens=10))
    assert burst_of(limiter, tokens=90) == 1
    clock.now += 120
    ticket = limiter.acquire(sample_demand(tokens=10))
    limiter.report(ticket, sample_outcome(tokens=400))
    with pytest.raises(RateLimitedError) as caught:
        limiter.acquire(sample_demand(tokens=10))
    assert caught.value.retry_after_ms == pytest.approx(310 / 15 * 1e3, abs=1)


def test_what_the_model_did_not_count_keeps_its_estimate(clock: Clock) -> None:
    limiter = limits(clock, tokens_per_minute=1_000)
    limiter.report(limiter.acquire(sample_demand(tokens=100)), sample_outcome(tokens=0))
    assert burst_of(limiter, tokens=50) == 0


def test_a_demand_over_the_burst_is_let_in_when_nothing_is_owed(clock: Clock) -> None:
    limiter = limits(clock, tokens_per_minute=600)
    limiter.acquire(sample_demand(tokens=900))
    with pytest.raises(RateLimitedError) as caught:
        limiter.acquire(sample_demand(tokens=900))
    assert caught.value.retry_after_ms == 100_000
    clock.now += 100
    limiter.acquire(sample_demand(tokens=900))


@pytest.mark.parametrize("status", ["cancelled", "failed"])
def test_what_never_began_costs_nothing(clock: Clock, status: str) -> None:
    limiter = limits(clock, requests_per_minute=10, tokens_per_minute=100)
    for _ in range(100):
        ticket = limiter.acquire(sample_demand(tokens=10))
        limiter.report(ticket, sample_outcome(status, seconds=0.0))  # type: ignore[arg-type]


def test_a_request_that_an_upstream_server_refused_has_been_made(clock: Clock) -> None:
    limiter = limits(clock, requests_per_minute=10, tokens_per_minute=100)
    limiter.report(limiter.acquire(sample_demand()), sample_outcome("limited"))
    assert burst_of(limiter) == 0


def test_without_a_rate_it_is_not_needed(clock: Clock) -> None:
    assert not limits(clock).is_needed
    assert not RateLimits(LimitsSettings(namespace={"team": Rate()})).is_needed
    assert limits(clock, tokens_per_minute=1).is_needed


@given(
    events=st.lists(
        st.tuples(
            st.sampled_from(["ask", "ok", "cancelled", "failed"]),
            st.integers(0, 5),
            st.integers(1, 40),
        ),
        max_size=80,
    )
)
def test_tickets_balance(events: list[tuple[str, int, int]]) -> None:
    """Whatever ends in whatever order: after an idle hour a client has its whole burst again."""
    clock = Clock()
    limiter = limits(clock, requests_per_minute=60, tokens_per_minute=600)
    tickets: list[object] = []
    for kind, place, tokens in events:
        clock.now += 0.5
        if kind == "ask":
            try:
                tickets.append(limiter.acquire(sample_demand(tokens=tokens)))
            except RateLimitedError:
                continue
        elif tickets:
            ticket = tickets.pop(place % len(tickets))
            limiter.report(ticket, sample_outcome(kind, tokens=tokens))  # type: ignore[arg-type]
    clock.now += 3_600
    assert burst_of(limiter, tokens=1) == 6


def standing_of(limiter: RateLimits, client: str = "one") -> tuple[str, float, float]:
    (found,) = limiter.client_limits([(client, "default")])
    assert found is not None
    return found.state, round(found.used_ratio, 6), round(found.retry_after_s, 6)


def test_a_client_stands_where_its_fullest_bucket_is(clock: Clock) -> None:
    limiter = limits(clock, margin=0.5, requests_per_minute=20, tokens_per_minute=100_000)
    assert isinstance(limiter, ClientLimits)
    assert standing_of(limiter) == ("free", 0.0, 0.0)
    tickets = [limiter.acquire(sample_demand("one", tokens=1)) for _ in range(8)]
    assert standing_of(limiter) == ("near", 0.8, 0.0)
    tickets += [limiter.acquire(sample_demand("one", tokens=1)) for _ in range(2)]
    state, used, wait_s = standing_of(limiter)
    assert (state, used, wait_s) == ("limited", 1.0, 6.0)
    with pytest.raises(RateLimitedError):
        limiter.acquire(sample_demand("one", tokens=1))
    assert standing_of(limiter, "other") == ("free", 0.0, 0.0)
    clock.now += wait_s
    limiter.acquire(sample_demand("one", tokens=1))
    assert limiter.stats()["clients"] == 1, "asking makes no entries"


def test_a_client_that_nothing_limits_has_no_standing(clock: Clock) -> None:
    rate = Rate(requests_per_minute=10)
    limiter = RateLimits(LimitsSettings(namespace={"notes": rate}), clock)
    limiter.acquire(sample_demand("one", namespace="notes"))
    free, limited = limiter.client_limits([("one", "default"), ("other", "notes")])
    assert free is None
    assert limited is not None
    assert limited.state == "limited", "all of a namespace share its rate"
