from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from emberd.testing.cache_tier import sample_items, sample_key

ITEMS = sample_items(range(8))
KEYS = [key for key, _ in ITEMS]
VALUES = [value for _, value in ITEMS]

LONG_MS = 60_000
"""More than a test takes: what ends before it was not waited out."""


@pytest.fixture
def pool():
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture
def make_machine(server, make_tier):
    """Makes tiers as several machines have them."""

    def make(**settings):
        patient = {"wait_ms": LONG_MS, "lock_ms": LONG_MS}
        return make_tier(server.url, single_flight=True, **{**patient, **settings})

    return make


def until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        time.sleep(0.002)  # the other thread has no event to give


def test_one_machine_computes_and_the_other_gets_its_vectors(make_machine, pool):
    one, other = make_machine(), make_machine()
    assert one.get_many("default", KEYS) == [None] * 8
    waiting = pool.submit(other.get_many, "default", [*KEYS, KEYS[0]])
    until(lambda: other.statistics()["waits"] == 1)
    one.set_many("default", ITEMS)
    assert waiting.result() == [*VALUES, VALUES[0]]
    assert other.statistics()["spared"] == 8


def test_each_computes_what_it_asked_for_first_and_gets_the_rest(make_machine, pool):
    one, other = make_machine(), make_machine()
    assert one.get_many("default", KEYS[:4]) == [None] * 4
    waiting = pool.submit(other.get_many, "default", KEYS[:4])
    until(lambda: other.statistics()["waits"] == 1)
    one.set_many("default", ITEMS[:4])
    assert waiting.result() == VALUES[:4]
    assert other.get_many("default", KEYS) == [*VALUES[:4], *[None] * 4]


def test_a_machine_never_waits_for_itself(make_machine):
    one = make_machine()
    for _ in range(3):
        assert one.get_many("default", KEYS) == [None] * 8
    assert one.statistics()["waits"] == 0


def test_a_machine_that_died_is_waited_for_until_its_lock_ends(make_machine):
    died, other = make_machine(lock_ms=50), make_machine()
    assert died.get_many("default", KEYS) == [None] * 8
    assert other.get_many("default", KEYS) == [None] * 8
    third = make_machine(wait_ms=1)
    assert third.get_many("default", KEYS) == [None] * 8
    assert third.statistics()["waits"] == 1  # the other has the locks by now


def test_nobody_waits_longer_than_set(make_machine):
    one, other = make_machine(), make_machine(wait_ms=30)
    assert one.get_many("default", KEYS) == [None] * 8
    assert other.get_many("default", KEYS) == [None] * 8
    assert other.statistics() | {"server": ""} == {
        "server": "",
        "too_large": 0,
        "waits": 1,
        "spared": 0,
    }


def test_two_machines_that_each_have_work_never_wait_for_each_other(make_machine, pool):
    one, other = make_machine(), make_machine()
    assert one.get_many("default", KEYS[:4]) == [None] * 4
    assert other.get_many("default", KEYS[4:]) == [None] * 4
    asked = {machine: pool.submit(machine.get_many, "default", KEYS) for machine in (one, other)}
    until(lambda: any(each.done() for each in asked.values()))
    (first,) = [machine for machine, each in asked.items() if each.done()]
    assert asked[first].result() == [None] * 8
    first.set_many("default", ITEMS)
    for each in asked.values():
        each.result()
    assert one.statistics()["waits"] + other.statistics()["waits"] == 1


def test_one_lookup_waits_at_a_time_so_that_others_are_answered(make_machine, pool):
    one, other = make_machine(), make_machine()
    assert one.get_many("default", KEYS) == [None] * 8
    waiting = pool.submit(other.get_many, "default", KEYS[:4])
    until(lambda: other.statistics()["waits"] == 1)
    assert other.get_many("default", KEYS[4:]) == [None] * 4
    assert not waiting.done()
    one.set_many("default", ITEMS)
    assert waiting.result() == VALUES[:4]


def test_closing_ends_the_wait(make_machine, pool):
    one, other = make_machine(), make_machine()
    assert one.get_many("default", KEYS) == [None] * 8
    waiting = pool.submit(other.get_many, "default", KEYS)
    until(lambda: other.statistics()["waits"] == 1)
    other.close()
    assert waiting.exception() is not None or waiting.result() == [None] * 8


def test_it_works_over_a_cluster(cluster, make_tier, pool):
    options = {"single_flight": True, "wait_ms": LONG_MS, "lock_ms": LONG_MS}
    one, other = (make_tier(cluster[0].url, **options) for _ in range(2))
    assert one.get_many("default", KEYS) == [None] * 8
    waiting = pool.submit(other.get_many, "default", KEYS)
    until(lambda: other.statistics()["waits"] == 1)
    one.set_many("default", ITEMS)
    assert waiting.result() == VALUES


def test_without_the_option_nobody_waits(server, make_tier):
    one, other = make_tier(server.url), make_tier(server.url)
    assert one.get_many("default", [sample_key(1)]) == [None]
    assert other.get_many("default", [sample_key(1)]) == [None]
    assert server.run("DBSIZE") == 0
