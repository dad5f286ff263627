from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager

import pytest
from cache_helpers import VALUE_BYTES, Clock, DictTier, key, value

from emberd.cache.chain import Cache
from emberd.config import CacheSettings, NamespaceSettings
from emberd.errors import CacheUnavailableError
from emberd.records.keys import KeySpace

SPACE = KeySpace("default", "f" * 32, "", "end", "f16")


@asynccontextmanager
async def opened(*tiers, notify=None, clock=None, **settings):
    options = {"notify": notify} if notify else {}
    if clock:
        options["clock"] = clock
    cache = Cache(CacheSettings(**{"commit_ms": 5_000, **settings}), tiers, **options)
    await cache.start()
    try:
        yield cache
    finally:
        for tier in tiers:
            if getattr(tier, "blocked", None):
                tier.blocked.set()
        await cache.close()


def put(tier: DictTier, names: list[str]) -> None:
    tier.held.update({("default", key(name)): value(name) for name in names})


async def ask(cache: Cache, names: list[str], size: int = VALUE_BYTES):
    return await cache.lookup_tiers(SPACE, names, [key(name) for name in names], value_size=size)


def keep(cache: Cache, names: list[str]) -> None:
    cache.store(SPACE, names, [key(name) for name in names], [value(name) for name in names])


async def test_what_is_stored_is_in_memory_now_and_below_after_a_flush():
    tier = DictTier()
    async with opened(tier) as cache:
        keep(cache, ["a", "b"])
        assert cache.lookup_memory(SPACE, ["b", "x", "a"])[0] == [value("b"), None, value("a")]
        await cache.flush()
        assert tier.held == {("default", key(name)): value(name) for name in "ab"}


async def test_tiers_are_asked_in_order_and_only_for_what_is_missing():
    near, far = DictTier("near"), DictTier("far")
    put(near, ["a"])
    put(far, ["a", "b"])
    async with opened(near, far) as cache:
        values, hits = await ask(cache, ["a", "b", "c"])
        assert values == [value("a"), value("b"), None]
        assert hits == {"near": 1, "far": 1}
        assert ("get", 3) in near.calls
        assert ("get", 2) in far.calls


async def test_hits_move_up_to_memory_and_to_the_tiers_above():
    near, far = DictTier("near"), DictTier("far")
    put(far, ["a"])
    async with opened(near, far) as cache:
        await ask(cache, ["a"])
        assert cache.lookup_memory(SPACE, ["a"])[0] == [value("a")]
        await cache.flush()
        assert ("default", key("a")) in near.held
        assert ("set", 1) not in far.calls


async def test_a_tier_that_raises_is_a_miss_and_the_next_one_is_asked():
    near, far = DictTier("near"), DictTier("far")
    near.error = OSError("gone")
    put(far, ["a"])
    async with opened(near, far) as cache:
        assert (await ask(cache, ["a"]))[1] == {"far": 1}
        stats = {tier.name: tier for tier in cache.stats().tiers}
        assert stats["near"].errors >= 1
        assert stats["near"].misses == 1


@pytest.mark.parametrize(
    "answer",
    [[], [None, None], (None,), "nonsense", {"a": 1}, 7],
    ids=["too few", "too many", "a tuple", "a string", "a map", "a number"],
)
async def test_an_answer_of_the_wrong_shape_is_a_miss(answer):
    tier = DictTier()
    tier.answer = answer
    async with opened(tier) as cache:
        assert await ask(cache, ["a"]) == ([None], {})


@pytest.mark.parametrize(
    "garbage", [b"", b"short", value("a") + b"x", "text", 5, bytearray(VALUE_BYTES)]
)
async def test_a_value_that_cannot_be_right_is_a_miss_and_counted(garbage):
    tier = DictTier()
    tier.answer = [garbage, value("b")]
    async with opened(tier) as cache:
        assert await ask(cache, ["a", "b"]) == ([None, value("b")], {"dict": 1})
        assert cache.lookup_memory(SPACE, ["a"])[0] == [None]
        assert cache.stats().tiers[1].corrupt == 1


async def test_a_failing_tier_trips_says_so_and_comes_back():
    tier = DictTier()
    put(tier, ["a"])
    told: list[tuple[str, str]] = []
    async with opened(tier, notify=lambda level, event, _: told.append((level, event))) as cache:
        clock = cache._lower[0]._breaker._clock = Clock()
        tier.error = OSError("gone")
        for _ in range(10):
            await ask(cache, ["a"])
        assert tier.calls.count(("get", 1)) == 5
        below = cache.stats().tiers[1]
        assert (below.state, below.message) == ("tripped", "gone")
        tier.error = None
        clock.advance(5)
        assert (await ask(cache, ["a"]))[1] == {"dict": 1}
        assert cache.stats().tiers[1].state == "ok"
        assert told == [("warning", "cache.tier_tripped"), ("info", "cache.tier_recovered")]


async def test_a_tier_that_hangs_is_a_miss_and_holds_up_no_other(monkeypatch):
    monkeypatch.setattr("emberd.cache.lower._LOOKUP_S", 0.02)
    stuck, good = DictTier("stuck"), DictTier("good")
    put(good, ["a"])
    async with opened(stuck, good) as cache:
        stuck.blocked = threading.Event()
        for name in range(8):
            cache.store(SPACE, [str(name)], [key(name)], [value(name)])
            assert (await ask(cache, ["a"]))[1] == {"good": 1}
        assert cache.stats().tiers[1].state == "tripped"
        await cache._lower[1].flush()
        assert ("default", key(7)) in good.held


async def test_a_request_that_is_cancelled_leaves_the_cache_whole():
    tier = DictTier()
    put(tier, ["a"])
    async with opened(tier) as cache:
        tier.blocked = threading.Event()
        task = asyncio.create_task(ask(cache, ["a"]))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        tier.blocked.set()
        tier.blocked = None
        assert (await ask(cache, ["a"]))[1] == {"dict": 1}


async def test_clearing_reaches_every_tier_and_what_is_still_queued():
    near, far = DictTier("near"), DictTier("far")
    async with opened(near, far) as cache:
        keep(cache, ["a", "b"])
        await cache.flush()
        keep(cache, ["c"])
        assert await cache.clear("default") == {"memory": 3, "near": 2, "far": 2}
        await cache.flush()
        assert near.held == far.held == {}
        assert cache.lookup_memory(SPACE, ["a", "c"])[0] == [None, None]
        assert await cache.clear(None) == {"memory": 0, "near": 0, "far": 0}


async def test_a_tier_that_cannot_be_cleared_is_named_and_the_others_are_cleared():
    near, far = DictTier("near"), DictTier("far")
    put(far, ["a"])
    async with opened(near, far) as cache:
        near.error = OSError("locked")
        with pytest.raises(CacheUnavailableError, match="near tier could not be cleared: locked"):
            await cache.clear("default")
        assert far.held == {}


async def test_closing_writes_what_is_queued_and_closes_the_tiers_once():
    tier = DictTier()
    async with opened(tier) as cache:
        keep(cache, ["a"])
        await cache.close()
        await cache.close()
        assert ("default", key("a")) in tier.held
        assert tier.closed == 1
        keep(cache, ["b"])
        assert cache.lookup_memory(SPACE, ["b"])[0] == [value("b")]
        await cache.flush()
        assert cache.stats().write_behind.dropped == 1


async def test_the_figures_add_up():
    tier = DictTier()
    put(tier, ["b"])
    names = {"default": NamespaceSettings(), "mine": NamespaceSettings(memory_mib=1)}
    async with opened(tier, namespaces=names) as cache:
        keep(cache, ["a"])
        cache.lookup_memory(SPACE, ["a", "b", "c"])
        await ask(cache, ["b", "c"])
        await cache.flush()
        stats = cache.stats()
        memory, below = stats.tiers
        assert (memory.name, memory.hits, memory.misses, memory.entries) == ("memory", 1, 2, 2)
        assert (below.hits, below.misses, below.entries) == (1, 1, 2)
        assert memory.lookup.count == below.lookup.count == 1
        assert stats.write_behind.written == 1
        counts = {each.name: (each.hits, each.misses) for each in stats.namespaces}
        assert counts == {"default": (2, 1), "mine": (0, 0)}
        assert cache.stats().tiers[0].lookup.count == 0


async def test_a_tier_whose_figures_fail_or_hang_does_not_stop_the_snapshot():
    tier = DictTier()

    def stats():
        raise OSError("no figures")

    tier.stats = stats
    async with opened(tier) as cache:
        assert cache.stats().tiers[1].name == "dict"


async def test_without_lower_tiers_every_memory_miss_is_a_miss():
    async with opened() as cache:
        cache.lookup_memory(SPACE, ["a", "b"])
        assert await ask(cache, ["a", "b"]) == ([None, None], {})
        assert cache.stats().namespaces[0].misses == 2


async def test_promotion_does_not_give_a_record_a_second_life():
    clock = Clock()

    class Dated(DictTier):
        def get_many_dated(self, namespace, keys):
            return self.get_many(namespace, keys), [clock() - 50.0] * len(keys)

    tier = Dated()
    put(tier, ["a"])
    async with opened(tier, clock=clock, ttl_s=60) as cache:
        await ask(cache, ["a"])
        assert cache.lookup_memory(SPACE, ["a"])[0] == [value("a")]
        clock.advance(10)
        assert cache.lookup_memory(SPACE, ["a"])[0] == [None]


async def test_a_look_says_what_each_tier_has_and_counts_as_no_use():
    near, far = DictTier("near"), DictTier("far")
    put(far, ["a"])
    async with opened(near, far) as cache:
        for _ in range(2):
            sights = await cache.peek(SPACE, "a", key("a"), value_size=VALUE_BYTES)
            assert list(sights) == ["memory", "near", "far"]
            assert [sight.value for sight in sights.values()] == [None, None, value("a")]
        await cache.flush()
        assert near.held == {}
        assert cache.lookup_memory(SPACE, ["a"])[0] == [None]
        tiers = cache.stats().tiers
        assert [(tier.hits, tier.misses) for tier in tiers] == [(0, 1), (0, 0), (0, 0)]


async def test_a_look_at_a_tier_that_fails_says_why_and_trips_nothing():
    tier = DictTier()
    tier.error = OSError("gone")
    async with opened(tier) as cache:
        keep(cache, ["a"])
        for _ in range(10):
            sights = await cache.peek(SPACE, "a", key("a"), value_size=VALUE_BYTES)
        assert sights["memory"].value == value("a")
        assert (sights["dict"].value, sights["dict"].message) == (None, "gone")
        assert cache.stats().tiers[1].state == "ok"


@pytest.mark.parametrize("garbage", [[b"short"], [None, None], "nonsense", [7]])
async def test_a_look_believes_no_value_that_cannot_be_right(garbage):
    tier = DictTier()
    tier.answer = garbage
    async with opened(tier) as cache:
        sights = await cache.peek(SPACE, "a", key("a"), value_size=VALUE_BYTES)
        assert sights["dict"].value is None


async def test_a_look_tells_the_age_where_the_tier_knows_it():
    clock = Clock()

    class Inspectable(DictTier):
        def peek(self, namespace, key):
            return self.held.get((namespace, key)), clock() - 50.0

    tier = Inspectable()
    put(tier, ["a"])
    async with opened(tier, clock=clock, ttl_s=60) as cache:
        keep(cache, ["b"])
        sights = await cache.peek(SPACE, "a", key("a"), value_size=VALUE_BYTES)
        assert sights["dict"].born == clock() - 50.0
        assert tier.calls == []
        assert (await cache.peek(SPACE, "b", key("b"), value_size=1))["memory"].born == clock()
