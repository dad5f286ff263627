"""How clients stand to limits, as limiters on real plugin threads say it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from emberd.plugins import ClientLimit
from emberd.plugins.guard import Guard
from emberd.plugins.plugged import Plugged
from emberd.plugins.runner import PluginThread
from emberd.service import client_limits
from emberd.service.callers import Caller
from emberd.service.client_limits import LimitReader

NEAR = ClientLimit(state="near", used_ratio=0.9, limit="tokens a minute")
LIMITED = ClientLimit(state="limited", used_ratio=1.0, retry_after_s=2.5)


class Silent:
    """A limiter that offers no more than the contract."""

    name = "limiter"

    def acquire(self, demand: Any) -> object: ...
    def report(self, ticket: object, outcome: Any) -> None: ...
    def stats(self) -> dict[str, int]:
        return {}

    def close(self) -> None: ...


class Telling(Silent):
    def __init__(self, tell: Callable[[Any], Any]) -> None:
        self.tell = tell
        self.asked: list[list[tuple[str, str]]] = []
        self.threads: set[int] = set()

    def client_limits(self, clients: Any) -> Any:
        self.asked.append(list(clients))
        self.threads.add(threading.get_ident())
        return self.tell(clients)


class House:
    def __init__(self, *limiters: Silent) -> None:
        self.guards = [Guard(f"p{number}", errors=3) for number, _ in enumerate(limiters)]
        self.threads = [PluginThread(guard.name) for guard in self.guards]
        self.reader = LimitReader(
            [
                Plugged(guard.name, limiter, guard, thread)
                for limiter, guard, thread in zip(limiters, self.guards, self.threads, strict=True)
            ]
        )
        self.callers = [Caller(id=1, name="a"), Caller(id=2, name="b", namespace="notes")]

    async def read(self) -> list[ClientLimit | None]:
        self.reader.tick([*self.callers, Caller(id=9)])
        await asyncio.gather(*self.reader._readings.values())
        return [self.reader.of(caller) for caller in self.callers]


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., House]]:
    monkeypatch.setattr(client_limits, "READ_S", 20.0)  # a busy machine is no hanging limiter
    made: list[House] = []

    def built(*limiters: Silent) -> House:
        made.append(House(*limiters))
        return made[-1]

    yield built
    for house in made:
        for thread in house.threads:
            thread.close()


Build = Callable[..., House]


async def test_each_client_has_the_limit_that_it_is_closest_to(build: Build) -> None:
    first = Telling(lambda clients: [NEAR for _ in clients])
    second = Telling(lambda clients: [LIMITED if c == ("b", "notes") else None for c in clients])
    house = build(first, Silent(), second)
    assert await house.read() == [NEAR, LIMITED]
    assert sorted(first.asked[0]) == [("a", "default"), ("b", "notes")], "a nameless one is left"
    assert threading.get_ident() not in first.threads | second.threads
    first.tell = second.tell = lambda clients: [None for _ in clients]
    assert await house.read() == [None, None]


async def test_without_a_limiter_that_tells_nothing_is_known(build: Build) -> None:
    assert await build(Silent()).read() == [None, None]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        ["limited", "free"],
        [ClientLimit(used_ratio=float("nan"))] * 2,
        [ClientLimit(retry_after_s="soon")] * 2,  # type: ignore[arg-type]
        [ClientLimit(state="odd")] * 2,  # type: ignore[arg-type]
    ],
)
async def test_what_does_not_fit_the_contract_is_the_plugins_error(
    build: Build, answer: Any
) -> None:
    house = build(Telling(lambda _: answer))
    for _ in range(3):
        assert await house.read() == [None, None]
    assert house.guards[0].errors == 3
    assert house.guards[0].is_tripped


async def test_a_plugin_that_tripped_is_not_asked_and_says_nothing_any_more(build: Build) -> None:
    limiter = Telling(lambda clients: [NEAR for _ in clients])
    house = build(limiter)
    await house.read()
    house.guards[0].disable()
    assert await house.read() == [None, None]
    assert len(limiter.asked) == 1


async def test_one_that_hangs_is_late_once_and_then_left_alone(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_limits, "READ_S", 0.01)
    gate = threading.Event()

    def hang(clients: Any) -> Any:
        gate.wait()
        return [NEAR for _ in clients]

    limiter = Telling(hang)
    house = build(limiter)
    for _ in range(3):
        assert await house.read() == [None, None]
    assert house.guards[0].errors == 1
    assert "client_limits took longer" in house.guards[0].message
    gate.set()
    await asyncio.wrap_future(house.threads[0].submit(lambda: None))
    monkeypatch.setattr(client_limits, "READ_S", 20.0)
    assert await house.read() == [NEAR, NEAR]


def test_a_refusal_is_known_whatever_the_limiter_tells() -> None:
    caller = Caller(id=1)
    assert caller.limit(None) is None
    assert caller.limit(NEAR) == NEAR
    caller.limited_until = time.monotonic() + 60
    for told in (None, NEAR):
        limit = caller.limit(told)
        assert limit is not None
        assert limit.state == "limited"
        assert 50 < limit.retry_after_s <= 60
    assert caller.limit(LIMITED) == LIMITED
