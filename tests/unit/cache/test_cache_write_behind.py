from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from contextlib import contextmanager

import pytest
from cache_helpers import Clock, DictTier, key, pairs, value

from emberd.cache.breaker import Breaker, BreakerLimits
from emberd.cache.write_behind import WriteBehind

HOURS = 10_000.0


@contextmanager
def writer(tier, *, commit_s=HOURS, clock=None, **options):
    breaker = Breaker(clock or Clock(), BreakerLimits(failures=2, pause_s=5.0))
    behind = WriteBehind(tier, breaker, commit_s=commit_s, **options)
    behind.start()
    try:
        yield behind
    finally:
        behind.close(30)


def test_rows_are_written_in_groups_when_the_time_has_come():
    tier = DictTier()
    with writer(tier, commit_s=0.02) as behind:
        for name in range(20):
            behind.offer("n", pairs([name]))
        behind.run_after(lambda: None).result(30)
        assert tier.held == {("n", key(name)): value(name) for name in range(20)}
        assert len(tier.calls) < 20
    assert behind.stats().written == 20


def test_five_hundred_and_twelve_rows_do_not_wait():
    tier = DictTier()
    seen = threading.Event()
    keep = tier.set_many
    tier.set_many = lambda namespace, items: (keep(namespace, items), seen.set())
    with writer(tier) as behind:
        behind.offer("n", pairs(range(512)))
        assert seen.wait(30)
        assert len(tier.held) == 512


def test_no_write_is_larger_than_two_groups():
    tier = DictTier()
    with writer(tier) as behind:
        behind.offer("n", pairs(range(3_000), 8))
        behind.flush(30)
    assert len(tier.held) == 3_000
    assert max(count for method, count in tier.calls if method == "set") <= 1_024


def test_flush_returns_when_everything_before_it_is_written():
    tier = DictTier()
    with writer(tier) as behind:
        behind.offer("a", pairs(range(5)))
        behind.offer("b", pairs(range(5)))
        behind.flush(30)
        assert len(tier.held) == 10
        assert behind.stats().queued == 0


def test_close_writes_what_is_queued_and_takes_no_more():
    tier = DictTier()
    with writer(tier) as behind:
        behind.offer("n", pairs(range(5)))
        behind.close(30)
        assert len(tier.held) == 5
        behind.offer("n", pairs(["late"]))
        behind.close(30)
        assert behind.stats().dropped == 1
        with pytest.raises(CancelledError):
            behind.flush(30)


def test_a_full_queue_drops_new_rows_and_counts_them():
    tier = DictTier()
    tier.blocked = threading.Event()
    with writer(tier, commit_s=0.001, queue_bytes=100_000) as behind:
        for name in range(1_000):
            behind.offer("n", pairs([name]))
        assert behind.stats().dropped > 0
        tier.blocked.set()
        behind.flush(30)
        stats = behind.stats()
        assert stats.written + stats.dropped == 1_000
        assert len(tier.held) == stats.written


def test_rows_that_the_tier_refuses_are_dropped_and_its_breaker_spares_it():
    tier = DictTier()
    clock = Clock()
    with writer(tier, clock=clock) as behind:
        tier.error = OSError("no space")
        for name in range(4):
            behind.offer("n", pairs([name]))
            behind.flush(30)
        assert (behind.stats().dropped, behind.errors) == (4, 2)
        tier.error = None
        clock.advance(5)
        behind.offer("n", pairs(["back"]))
        behind.flush(30)
        assert ("n", key("back")) in tier.held


def test_forgetting_a_namespace_drops_its_queued_rows_only():
    tier = DictTier()
    with writer(tier) as behind:
        behind.offer("a", pairs(range(3)))
        behind.offer("b", pairs(range(3)))
        behind.forget("a")
        assert behind.stats().queued == 3
        behind.flush(30)
        assert {namespace for namespace, _ in tier.held} == {"b"}
        behind.offer("a", pairs(range(3)))
        behind.forget(None)
        assert behind.stats().queued == 0


def test_an_errand_runs_after_the_rows_before_it_and_its_error_is_the_askers():
    tier = DictTier()
    with writer(tier) as behind:
        behind.offer("n", pairs(range(3)))
        assert behind.run_after(lambda: len(tier.held)).result(30) == 3
        behind.offer("n", pairs([9]))
        with pytest.raises(ZeroDivisionError):
            behind.run_after(lambda: 1 // 0).result(30)
        assert len(tier.held) == 4


def test_upkeep_happens_while_nothing_is_written():
    done = threading.Event()

    class Kept(DictTier):
        def maintain(self) -> None:
            done.set()
            raise OSError("and its errors end nothing")

    tier = Kept()
    with writer(tier, upkeep_s=0.01) as behind:
        assert done.wait(30)
        behind.offer("n", pairs([1]))
        behind.flush(30)
        assert len(tier.held) == 1
