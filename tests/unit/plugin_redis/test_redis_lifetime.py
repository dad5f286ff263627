from __future__ import annotations

import time

from emberd.testing.cache_tier import sample_items, sample_key

ITEMS = sample_items(range(4))
KEYS = [key for key, _ in ITEMS]
VALUES = [value for _, value in ITEMS]


def remaining_ms(server) -> list[int]:
    return [server.run("PTTL", f"e:default:{key.hex()}") for key in KEYS]


def test_redis_forgets_after_a_day_unless_told_otherwise(server, make_tier):
    make_tier(server.url).set_many("default", ITEMS)
    assert all(86_000_000 < each <= 86_400_000 for each in remaining_ms(server))
    make_tier(server.url, ttl_s=0).set_many("default", ITEMS)
    assert remaining_ms(server) == [-1] * 4


def test_what_is_past_its_time_is_a_miss(server, make_tier):
    tier = make_tier(server.url, ttl_s=0.05)
    tier.set_many("default", ITEMS)
    while server.run("DBSIZE"):
        time.sleep(0.01)  # Redis forgets ten times a second
    assert tier.get_many("default", KEYS) == [None] * 4


def test_a_hit_begins_the_time_anew_only_where_that_is_asked_for(server, make_tier):
    make_tier(server.url, ttl_s=1_000).set_many("default", ITEMS)
    assert make_tier(server.url, ttl_s=5_000).get_many("default", KEYS) == VALUES
    assert max(remaining_ms(server)) <= 1_000_000
    assert make_tier(server.url, ttl_s=5_000, refresh_ttl=True).get_many("default", KEYS) == VALUES
    assert min(remaining_ms(server)) > 1_000_000


def test_nothing_is_older_than_the_cache_allows_whoever_set_it(server, make_tier):
    now = 1_700_000_000.0
    make_tier(server.url, clock=lambda: now).set_many("default", ITEMS)
    young = make_tier(server.url, cache={"ttl_s": 100.0}, clock=lambda: now + 99)
    assert young.get_many("default", KEYS) == VALUES
    old = make_tier(server.url, cache={"ttl_s": 100.0}, clock=lambda: now + 102)
    assert old.get_many("default", KEYS) == [None] * 4
    assert old.stats().expired >= 4


def test_with_a_sliding_ttl_the_age_counts_from_the_hit(server, make_tier):
    now = 1_700_000_000.0
    make_tier(server.url, clock=lambda: now).set_many("default", ITEMS)
    cache = {"ttl_s": 100.0, "sliding_ttl": True}
    later = make_tier(server.url, cache=cache, clock=lambda: now + 99)
    values, born = later.get_many_dated("default", [*KEYS, sample_key(99)])
    assert values == [*VALUES, None]
    assert born == [now + 99] * 4 + [0.0]
    assert all(90_000 < each <= 100_000 for each in remaining_ms(server))
