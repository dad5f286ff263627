"""Limiters on real plugin threads before an engine whose every answer the test decides."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import pytest
from test_service_embedding import Bench

from emberd.errors import (
    DeadlineExceededError,
    EmbeddingFailedError,
    OverloadedError,
    RateLimitedError,
)
from emberd.plugins import Demand, Outcome
from emberd.plugins.guard import Guard
from emberd.plugins.plugged import Plugged
from emberd.plugins.runner import PluginThread
from emberd.service import admission
from emberd.service.admission import Admission


class Limiter:
    """Keeps what it was asked and told; `act` decides about a demand."""

    def __init__(self, name: str = "limiter", act: Callable[[Demand], Any] | None = None) -> None:
        self.name = name
        self.act = act
        self.demands: list[Demand] = []
        self.tickets: list[object] = []
        self.reports: list[tuple[object, Outcome]] = []
        self.threads: set[str] = set()

    def acquire(self, demand: Demand) -> object:
        self.threads.add(threading.current_thread().name)
        self.demands.append(demand)
        if self.act is not None:
            self.act(demand)
        ticket = object()
        self.tickets.append(ticket)
        return ticket

    def report(self, ticket: object, outcome: Outcome) -> None:
        self.threads.add(threading.current_thread().name)
        self.reports.append((ticket, outcome))

    def stats(self) -> dict[str, int]:
        return {}

    def close(self) -> None:
        pass

    @property
    def statuses(self) -> list[str]:
        return [outcome.status for _, outcome in self.reports]


class House:
    """A service with limiters, each of a plugin of its own, except those of one list."""

    def __init__(self, *plugins: Limiter | Sequence[Limiter], errors: int = 10) -> None:
        self.plugged: list[Plugged[Any]] = []
        self.threads: list[PluginThread] = []
        for number, plugin in enumerate(plugins):
            guard, thread = Guard(f"p{number}", errors=errors), PluginThread(f"p{number}")
            self.threads.append(thread)
            for limiter in [plugin] if isinstance(plugin, Limiter) else plugin:
                self.plugged.append(Plugged(f"p{number}", limiter, guard, thread))
        self.bench = Bench(Admission(self.plugged))
        self.engine, self.caller = self.bench.engine, self.bench.caller
        self.caller.name = "tester"

    async def ask(self, *texts: str, **options: Any) -> asyncio.Task[dict[str, Any]]:
        """A request whose texts have come to the engine, or which has ended."""
        arrived = asyncio.Event()
        submit = type(self.engine).submit.__get__(self.engine)

        def told(*args: Any, **options: Any) -> Any:
            arrived.set()
            return submit(*args, **options)

        self.engine.submit = told  # type: ignore[method-assign]
        task = await self.bench.start(*texts, **options)
        arrival = asyncio.create_task(arrived.wait())
        await asyncio.wait([task, arrival], return_when=asyncio.FIRST_COMPLETED)
        arrival.cancel()
        return task

    async def embed(self, *texts: str, **options: Any) -> dict[str, Any]:
        task = await self.ask(*texts, **options)
        self.engine.finish()
        return await task

    async def settled(self) -> None:
        """Return when the plugins' threads have done all that was submitted."""
        for thread in self.threads:
            await asyncio.wrap_future(thread.submit(lambda: None))
        for _ in range(10):
            await asyncio.sleep(0)

    def close(self) -> None:
        for thread in self.threads:
            thread.close()


Build = Callable[..., House]


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> Iterator[Build]:
    # A busy machine is no hanging limiter; the tests of those that hang ask for `impatience`.
    monkeypatch.setattr(admission, "ACQUIRE_S", 20.0)
    with contextlib.ExitStack() as stack:

        def built(*plugins: Limiter | Sequence[Limiter], errors: int = 10) -> House:
            house = House(*plugins, errors=errors)
            stack.callback(house.close)
            return house

        yield built


@pytest.fixture
def impatience(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "ACQUIRE_S", 0.05)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Where a limiter may hang; opened at the end, so that its thread ends."""
    event = threading.Event()
    yield event
    event.set()


def refusing(wait_ms: Any, **details: Any) -> Callable[[Demand], None]:
    def act(demand: Demand) -> None:
        raise RateLimitedError("Too much.", retry_after_ms=wait_ms, details=details)

    return act


def raising(error: BaseException) -> Callable[[Demand], None]:
    def act(demand: Demand) -> None:
        raise error

    return act


async def test_a_limiter_is_told_who_asks_for_what_and_how_it_ended(build: Build) -> None:
    house = build(limiter := Limiter())
    await house.embed("one", "three", prompt="query")
    await house.settled()
    assert limiter.demands == [
        Demand(
            client="tester",
            client_id=1,
            namespace="default",
            model="m",
            texts=2,
            tokens=6,
            priority="interactive",
        )
    ]
    ((ticket, outcome),) = limiter.reports
    assert ticket is limiter.tickets[0]
    assert (outcome.status, outcome.retry_after_s) == ("ok", None)
    assert outcome.tokens == len("query: one") + len("query: three")
    assert outcome.seconds >= 0
    assert limiter.threads == {"plugin-p0"}


async def test_hits_never_ask(build: Build) -> None:
    house = build(limiter := Limiter())
    await house.embed("a", "b")
    limiter.act = refusing(1_000)
    assert (await house.embed("a", "b"))["hits"] == {"memory": 2}
    with pytest.raises(RateLimitedError):
        await house.embed("a", "new")
    assert [demand.texts for demand in limiter.demands] == [2, 1]


async def test_work_past_the_cache_asks_too(build: Build) -> None:
    house = build(limiter := Limiter())
    for _ in range(2):
        await house.embed("a", "bc", use_cache=False)
    await house.settled()
    assert [outcome.tokens for _, outcome in limiter.reports] == [3, 3]


async def test_a_refusal_reaches_the_caller_and_nothing_is_computed(build: Build) -> None:
    house = build(Limiter("door", refusing(1_234, client="tester")))
    with pytest.raises(RateLimitedError, match="Too much") as caught:
        await house.embed("a")
    assert caught.value.retry_after_ms == 1_234
    assert caught.value.details == {"client": "tester", "limiter": "door", "plugin": "p0"}
    assert house.engine.submitted == []
    assert house.caller.limited == 1
    assert house.caller.stats(1.0).limited == 1
    limit = house.caller.limit(None)
    assert limit is not None
    assert limit.state == "limited"


async def test_of_several_refusals_the_longest_wait_is_told(build: Build) -> None:
    house = build(
        Limiter("a", refusing(50)),
        [Limiter("b", refusing(900)), Limiter("c", refusing(70))],
        Limiter("d"),
    )
    with pytest.raises(RateLimitedError) as caught:
        await house.embed("a")
    assert caught.value.retry_after_ms == 900
    assert caught.value.details["limiter"] == "b"


async def test_one_refusal_cancels_the_tickets_of_all_others(build: Build) -> None:
    kind, other, neighbour = Limiter("kind"), Limiter("other"), Limiter("neighbour")
    house = build(kind, [neighbour, Limiter("strict", refusing(10))], other)
    with pytest.raises(RateLimitedError):
        await house.embed("a")
    await house.settled()
    for limiter in (kind, other, neighbour):
        assert limiter.statuses == ["cancelled"]
        assert limiter.reports[0] == (
            limiter.tickets[0],
            Outcome(status="cancelled", seconds=0.0),
        )


@pytest.mark.parametrize("wait_ms", [None, 0, -5, float("nan"), "soon"])
async def test_a_refusal_always_says_when_to_come_back(build: Build, wait_ms: Any) -> None:
    house = build(Limiter(act=refusing(wait_ms)))
    with pytest.raises(RateLimitedError) as caught:
        await house.embed("a")
    assert caught.value.retry_after_ms == 1_000


@pytest.mark.parametrize(
    "error",
    [ValueError("broken"), OverloadedError("mine"), SystemExit(3), KeyboardInterrupt()],
    ids=lambda error: type(error).__name__,
)
async def test_a_limiter_that_raises_lets_work_in(build: Build, error: BaseException) -> None:
    good = Limiter("good")
    house = build([Limiter("broken", raising(error)), good])
    assert (await house.embed("a"))["computed"] == 1
    await house.settled()
    assert house.plugged[0].guard.errors == 1
    assert good.statuses == ["ok"]


async def test_a_limiter_whose_report_raises_harms_nobody(build: Build) -> None:
    class Broken(Limiter):
        def report(self, ticket: object, outcome: Outcome) -> None:
            super().report(ticket, outcome)
            raise RuntimeError("broken")

    house = build([Broken("broken"), good := Limiter("good")])
    assert (await house.embed("a"))["computed"] == 1
    await house.settled()
    assert house.plugged[0].guard.errors == 1
    assert good.statuses == ["ok"]


@pytest.mark.usefixtures("impatience")
async def test_a_limiter_that_hangs_lets_work_in_and_its_late_ticket_is_reported_once(
    build: Build, gate: threading.Event
) -> None:
    slow, good = Limiter("slow", lambda demand: gate.wait()), Limiter("good")
    house = build(slow, good)
    assert (await house.embed("a"))["computed"] == 1
    assert (await house.embed("b"))["computed"] == 1
    assert house.plugged[0].guard.errors == 2
    assert len(slow.demands) == 1
    gate.set()
    await house.settled()
    assert slow.statuses == ["ok"]
    assert good.statuses == ["ok", "ok"]


@pytest.mark.usefixtures("impatience")
async def test_a_limiter_that_refuses_too_late_refuses_nothing(
    build: Build, gate: threading.Event
) -> None:
    def act(demand: Demand) -> None:
        gate.wait()
        raise RateLimitedError("Too late.", retry_after_ms=5)

    house = build(Limiter(act=act))
    assert (await house.embed("a"))["computed"] == 1
    gate.set()
    await house.settled()
    assert house.caller.limited == 0


async def test_a_limiter_that_goes_on_failing_is_left_alone(build: Build) -> None:
    house = build(limiter := Limiter(act=raising(ValueError("broken"))), errors=3)
    for number in range(6):
        await house.embed(str(number))
    assert house.plugged[0].guard.is_tripped
    assert len(limiter.demands) == 3


async def test_a_ticket_taken_before_the_plugin_tripped_is_reported(build: Build) -> None:
    house = build(limiter := Limiter(), errors=1)
    task = await house.ask("a")
    house.plugged[0].guard.failed("elsewhere")
    house.engine.finish()
    await task
    await house.settled()
    assert limiter.statuses == ["ok"]


async def test_a_cancelled_request_is_reported_with_what_was_computed(build: Build) -> None:
    house = build(limiter := Limiter())
    task = await house.ask("one", "three")
    house.engine.finish("three")
    await house.settled()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await house.settled()
    assert [(o.status, o.tokens) for _, o in limiter.reports] == [("cancelled", 5)]


async def test_a_request_that_is_cancelled_at_the_door_gives_its_ticket_back(
    build: Build, gate: threading.Event
) -> None:
    entered = threading.Event()

    def act(demand: Demand) -> None:
        entered.set()
        gate.wait()

    house = build(limiter := Limiter(act=act))
    task = await house.bench.start("a")
    await asyncio.to_thread(entered.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.set()
    await house.settled()
    assert limiter.reports == [(limiter.tickets[0], Outcome(status="cancelled", seconds=0.0))]
    assert house.engine.submitted == []


async def test_a_deadline_is_a_cancellation(build: Build) -> None:
    house = build(limiter := Limiter())
    with pytest.raises(DeadlineExceededError):
        await (await house.ask("a", deadline_ms=80))
    await house.settled()
    assert limiter.statuses == ["cancelled"]


async def test_a_failure_is_told_as_one(build: Build) -> None:
    house = build(limiter := Limiter())
    task = await house.ask("a")
    house.engine.fail("a", EmbeddingFailedError("broken"))
    with pytest.raises(EmbeddingFailedError):
        await task
    await house.settled()
    assert limiter.statuses == ["failed"]


async def test_one_bad_text_among_good_ones_is_no_failure(build: Build) -> None:
    house = build(limiter := Limiter())
    task = await house.ask("a", "bc", partial=True)
    house.engine.fail("a", EmbeddingFailedError("broken"))
    house.engine.finish()
    await task
    await house.settled()
    assert [(o.status, o.tokens) for _, o in limiter.reports] == [("ok", 2)]


async def test_an_engine_that_is_full_is_a_failure(build: Build) -> None:
    house = build(limiter := Limiter())
    house.engine.is_full = True
    with pytest.raises(OverloadedError):
        await house.embed("a")
    await house.settled()
    assert limiter.statuses == ["failed"]


async def test_an_upstream_servers_refusal_is_told_with_its_wait(build: Build) -> None:
    house = build(limiter := Limiter())
    task = await house.ask("a", "b")
    house.engine.fail("a", RateLimitedError("Slow down.", retry_after_ms=2_500))
    house.engine.fail("b", RateLimitedError("Slow down."))
    with pytest.raises(RateLimitedError):
        await task
    await house.settled()
    assert [(o.status, o.retry_after_s) for _, o in limiter.reports] == [("limited", 2.5)]
    assert house.caller.limited == 0


async def test_what_another_request_computes_costs_this_one_no_tokens(build: Build) -> None:
    both = threading.Barrier(2)

    def act(demand: Demand) -> None:
        if limiter.tickets:
            both.wait()

    house = build(limiter := Limiter(act=act))
    first = await house.ask("same")
    second = await house.bench.start("same")
    await asyncio.to_thread(both.wait)
    await house.settled()
    house.engine.finish()
    await asyncio.gather(first, second)
    await house.settled()
    assert sorted(outcome.tokens for _, outcome in limiter.reports) == [0, 4]


async def test_every_ticket_of_a_crowd_is_reported_exactly_once(build: Build) -> None:
    odd = Limiter("odd", lambda demand: refusing(5)(demand) if demand.tokens % 3 == 0 else None)
    house = build([Limiter("first"), odd], Limiter("last"))
    ends: list[Awaitable[Any]] = []
    for number in range(60):
        task = await house.ask("x" * (number + 1), use_cache=False)
        if number % 5 == 0:
            task.cancel()
        elif number % 7 == 0 and "x" * (number + 1) in house.engine.open:
            house.engine.fail("x" * (number + 1), EmbeddingFailedError("broken"))
        ends.append(task)
    house.engine.finish()
    await asyncio.gather(*ends, return_exceptions=True)
    await house.settled()
    for plugged in house.plugged:
        limiter = plugged.object
        assert len(limiter.reports) == len(limiter.tickets)
        assert {id(ticket) for ticket, _ in limiter.reports} == set(map(id, limiter.tickets))


async def test_a_closed_plugin_lets_work_in(build: Build) -> None:
    house = build(limiter := Limiter())
    house.close()
    assert (await house.embed("a"))["computed"] == 1
    assert limiter.demands == []


async def test_a_client_without_a_name_is_known_by_its_process_from_the_start(build: Build) -> None:
    house = build(limiter := Limiter())
    house.caller.name, house.caller.pid = "", 77
    house.caller.name_of = lambda pid: f"process {pid}"
    await house.embed("a")
    assert [demand.client for demand in limiter.demands] == ["process 77"]
