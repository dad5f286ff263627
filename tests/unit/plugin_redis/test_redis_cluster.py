from __future__ import annotations

import pytest
from redis.crc import key_slot

from emberd.cache.lower import LowerTier
from emberd.errors import CacheUnavailableError
from emberd.testing.cache_tier import sample_items, sample_key
from redis_servers import redis_cluster

ITEMS = sample_items(range(6_000), size=40)
KEYS = [key for key, _ in ITEMS]
VALUES = [value for _, value in ITEMS]


def name_of(key: bytes) -> str:
    return f"e:default:{key.hex()}"


def owner_of(cluster, slot: int):
    """The server that has a slot."""
    for first, last, (_, port, *_) in cluster[0].run("CLUSTER SLOTS"):
        if first <= slot <= last:
            return next(each for each in cluster if each.port == port)
    raise AssertionError(f"nobody has slot {slot}")


@pytest.mark.parametrize("options", [{}, {"refresh_ttl": True}, {"single_flight": True}])
def test_thousands_of_keys_go_to_all_servers_and_come_back(cluster, make_tier, options):
    tier = make_tier(cluster[0].url, **options)
    assert tier.get_many("default", KEYS) == [None] * len(KEYS)
    tier.set_many("default", ITEMS)
    assert tier.get_many("default", KEYS) == VALUES
    held = [each.run("DBSIZE") for each in cluster]
    assert min(held) > 1_000
    assert sum(held) == len(KEYS)
    stats = tier.stats()
    assert (stats.kind, stats.entries) == ("redis cluster", len(KEYS))
    assert tier.delete_many("default", KEYS[:1_000]) == 1_000
    assert tier.clear("default") == 5_000


def test_a_slot_that_moved_is_followed(cluster, make_tier):
    tier = make_tier(cluster[0].url)
    tier.set_many("default", ITEMS[:10])  # it knows the slots from here on
    key, value = sample_key(70_000), b"a value"
    slot = key_slot(name_of(key).encode())
    source = owner_of(cluster, slot)
    target = next(each for each in cluster if each is not source)
    move(cluster, slot, target)
    try:
        tier.set_many("default", [(key, value)])
        assert target.run("EXISTS", name_of(key)) == 1
        other = make_tier(source.url)
        move(cluster, slot, target)
        assert other.get_many("default", [key]) == [value]
        tier.clear()
    finally:
        move(cluster, slot, source)
    assert tier.get_many("default", [key]) == [None]


def test_what_is_on_its_way_between_servers_is_a_miss(cluster, make_tier):
    tier = make_tier(cluster[0].url, single_flight=True)
    key = sample_key(70_001)
    slot = key_slot(name_of(key).encode())
    source = owner_of(cluster, slot)
    target = next(each for each in cluster if each is not source)
    target.run("CLUSTER SETSLOT", slot, "IMPORTING", source.run("CLUSTER MYID"))
    source.run("CLUSTER SETSLOT", slot, "MIGRATING", target.run("CLUSTER MYID"))
    try:
        assert tier.get_many("default", [key]) == [None]
        tier.set_many("default", [(key, b"lost, and no error")])
    finally:
        for each in (source, target):
            each.run("CLUSTER SETSLOT", slot, "STABLE")
    tier.set_many("default", [(key, b"kept")])
    assert tier.get_many("default", [key]) == [b"kept"]


def test_a_cluster_taken_for_one_server_says_what_to_set(cluster, make_tier):
    tier = make_tier(cluster[0].url, cluster=False)
    with pytest.raises(CacheUnavailableError, match="cluster"):
        tier.set_many("default", ITEMS[:100])


def test_one_server_taken_for_a_cluster_says_so(server, make_tier):
    tier = make_tier(server.url, cluster=True)
    with pytest.raises(CacheUnavailableError, match="cluster support disabled"):
        tier.get_many("default", KEYS[:3])


async def test_a_server_that_dies_costs_misses_until_it_is_back(tmp_path, make_tier):
    with redis_cluster(tmp_path) as servers:
        lower = LowerTier(
            make_tier(servers[0].url),
            commit_s=0.01,
            notify=lambda *_: None,
            clock=lambda: clock[0],
        )
        clock = [0.0]
        await lower.start()
        lower.offer("default", ITEMS)
        await lower.flush()
        assert (await lower.lookup("default", KEYS, 40)).values == VALUES
        servers[1].kill()
        for _ in range(5):
            assert None in (await lower.lookup("default", KEYS, 40)).values
        assert lower.stats().state == "tripped"
        servers[1].start()
        found = [None]
        while not any(found):
            clock[0] += 60.0
            found = (await lower.lookup("default", KEYS, 40)).values
        assert all(got in (None, value) for got, value in zip(found, VALUES, strict=True))
        await lower.close()


def move(cluster, slot: int, target) -> None:
    """Give an empty slot to another server."""
    identity = target.run("CLUSTER MYID")
    for each in (target, *cluster):
        each.run("CLUSTER SETSLOT", slot, "NODE", identity)
