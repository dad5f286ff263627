"""Which requests are listed, in which order, and what the log says of slow ones."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from emberd.service.callers import Caller
from emberd.service.request_log import RequestLog
from emberd.telemetry.log_ring import LogRing

NVIM, CURL = Caller(1, name="nvim"), Caller(2, name="curl/8")


class Bench:
    def __init__(self, slow_ms: float = 1_000) -> None:
        self.now = 1_700_000_000.0
        self.lines = LogRing()
        self.logger = logging.getLogger("emberd.test.requests")
        self.logger.setLevel("INFO")
        self.logger.propagate = False
        self.logger.addHandler(self.lines)
        self.log = RequestLog(slow_ms, self.logger, lambda: self.now)

    def add(self, seconds: float, method: str = "embed", caller: Caller = NVIM, **more: Any) -> int:
        number = next(self.log.numbers)
        self.log.add(number, method, caller, seconds, **more)
        return number

    def ids(self, kind: Any = "recent", **options: Any) -> list[int]:
        return [row.id for row in self.log.rows(kind, **options).requests]


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.logger.removeHandler(bench.lines)


def test_a_row_says_who_asked_what_and_how_it_went(bench: Bench) -> None:
    result = {"count": 3, "hits": {"memory": 2}, "computed": 1, "vectors": b"many"}
    bench.add(0.25, result=result)
    bench.add(0.5, "search", CURL, error="COLLECTION_NOT_FOUND")
    failed, good = bench.log.rows().requests
    assert (good.id, good.method, good.client, good.client_id) == (1, "embed", "nvim", 1)
    assert (good.texts, good.hits, good.computed, good.error) == (3, {"memory": 2}, 1, "")
    assert (good.seconds, good.time) == (0.25, bench.now - 0.25)
    assert (failed.id, failed.client, failed.error) == (2, "curl/8", "COLLECTION_NOT_FOUND")
    assert bench.log.rows().slow_ms == 1_000


def test_the_newest_two_hundred_come_newest_first(bench: Bench) -> None:
    for _ in range(250):
        bench.add(0.001)
    assert bench.ids() == list(range(250, 50, -1))
    assert bench.ids(limit=2) == [250, 249]


def test_what_only_looks_at_the_daemon_is_not_listed(bench: Bench) -> None:
    for method in (
        "hello",
        "ping",
        "stats",
        "stats.history",
        "requests.list",
        "logs.tail",
        "no.such",
    ):
        bench.add(5.0, method)
    assert bench.ids() == bench.ids("slowest") == bench.ids("slow") == []


def test_clients_methods_and_failures_choose(bench: Bench) -> None:
    bench.add(0.1)
    bench.add(0.1, "search")
    bench.add(0.1, caller=CURL)
    bench.add(0.1, caller=CURL, error="OVERLOADED")
    assert bench.ids(client="CURL") == [4, 3]
    assert bench.ids(method="search") == [2]
    assert bench.ids(failed=True) == [4]
    assert bench.ids(client="nvim", failed=True) == []


def test_the_fifty_slowest_come_slowest_first(bench: Bench) -> None:
    for number in range(1, 501):
        bench.add(number * 7 % 500 / 1e3)
    slowest = bench.log.rows("slowest").requests
    assert [round(row.seconds * 1e3) for row in slowest] == list(range(499, 449, -1))


def test_the_slowest_are_those_of_the_last_hour_whenever_it_began(bench: Bench) -> None:
    for minute in range(120):
        bench.now = 1_700_000_000.0 + 60 * minute
        for _ in range(60):
            bench.add(10.0 - minute / 100)  # ever faster: each is below the floor of those before
    found = bench.log.rows("slowest").requests
    assert len(found) == 50
    assert {round(row.seconds, 2) for row in found} == {round(10 - 60 / 100, 2)}


def test_slow_requests_are_in_the_log_with_the_same_number(bench: Bench) -> None:
    bench.add(0.9)
    slow = bench.add(1.5, result={"count": 2, "hits": {}, "computed": 2}, error="")
    assert bench.ids("slow") == [slow]
    (line,) = bench.lines.tail(10).lines
    assert (line.event, line.level, line.message) == ("request.slow", "info", "embed took 1.50 s")
    assert line.fields == {
        "request": slow,
        "client": "nvim",
        "texts": 2,
        "computed": 2,
        "seconds": 1.5,
    }


def test_no_limit_means_that_nothing_is_slow() -> None:
    bench = Bench(slow_ms=0)
    bench.add(1e6)
    assert bench.ids("slow") == []
    assert bench.lines.tail(10).lines == []
    assert bench.log.rows("slow").slow_ms == 0
    bench.logger.removeHandler(bench.lines)
