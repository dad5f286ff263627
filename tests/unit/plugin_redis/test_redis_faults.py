from __future__ import annotations

import asyncio
import threading
import time

import pytest

from emberd.cache.lower import LowerTier
from emberd.errors import CacheUnavailableError
from emberd.testing.cache_tier import sample_items, sample_key
from redis_servers import RedisServer, redis_server

ITEMS = sample_items(range(64))
KEYS = [key for key, _ in ITEMS]
VALUES = [value for _, value in ITEMS]
VALUE_BYTES = len(VALUES[0])


class Clock:
    """The breakers' time: it passes only when told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Watched:
    """A tier as the chain has it: its breaker's clock and what it told are ours."""

    def __init__(self, tier) -> None:
        self.told: list[str] = []
        self.clock = Clock()
        self.lower = LowerTier(tier, commit_s=0.01, notify=self._tell, clock=self.clock)

    def _tell(self, _level, event, _message) -> None:
        self.told.append(event)

    async def ask(self) -> list[bytes | None]:
        found = await self.lower.lookup("default", KEYS, VALUE_BYTES)
        assert all(got in (None, value) for got, value in zip(found.values, VALUES, strict=True))
        return found.values

    async def keep(self) -> None:
        self.lower.offer("default", ITEMS)
        await self.lower.flush()

    async def until(self, event: str) -> None:
        """Ask again and again, as a load does."""
        while event not in self.told:
            await self.ask()
            self.lower.offer("default", ITEMS)


async def test_a_server_killed_and_restarted_in_mid_load_costs_misses_only(own_server, make_tier):
    watched = Watched(make_tier(own_server.url))
    await watched.lower.start()
    await watched.keep()
    assert await watched.ask() == VALUES
    load = asyncio.create_task(watched.until("cache.tier_tripped"))
    await asyncio.to_thread(own_server.kill)
    await load
    assert watched.lower.stats().state == "tripped"
    assert "cannot be reached" in watched.lower.stats().message
    await asyncio.to_thread(own_server.start)
    watched.clock.now += 60
    await watched.until("cache.tier_recovered")
    while None in await watched.ask():  # what the load offers is written again
        await watched.keep()
    await watched.lower.close()


async def test_a_server_that_hangs_trips_after_five_timeouts_and_is_then_left_alone(
    own_server, make_tier, monkeypatch
):
    tier = make_tier(own_server.url, timeout_ms=20, write_timeout_ms=20)
    watched = Watched(tier)
    await watched.lower.start()
    await watched.keep()
    while await watched.ask() != VALUES:
        pass  # 20 ms can pass on a busy machine
    own_server.freeze()
    for _ in range(5):
        assert await watched.ask() == [None] * len(KEYS)
    assert watched.told.count("cache.tier_tripped") == 1
    assert "does not answer in time" in watched.lower.stats().message
    asked = []
    with monkeypatch.context() as patched:
        patched.setattr(tier, "get_many_dated", asked.append)
        assert await watched.ask() == [None] * len(KEYS)
    assert asked == []
    own_server.thaw()
    while "cache.tier_recovered" not in watched.told:
        watched.clock.now += 60
        await watched.ask()
    while await watched.ask() != VALUES:  # and no late answer is taken for another's
        watched.clock.now += 60
    await watched.lower.close()


def test_a_daemon_may_start_before_its_redis(tmp_path, make_tier):
    with redis_server(tmp_path) as server:
        server.kill()
        tier = make_tier(server.url)
        assert tier.stats().state == "tripped"
        assert "cannot be reached" in tier.stats().message
        with pytest.raises(CacheUnavailableError, match="cannot be reached"):
            tier.get_many("default", KEYS)
        server.start()
        assert tier.get_many("default", KEYS) == [None] * len(KEYS)
        while tier.stats().state != "ok":
            time.sleep(0.05)  # it asks once a second
        assert tier.stats().message == ""


@pytest.mark.parametrize("single_flight", [False, True])
def test_a_full_server_still_answers_and_says_that_it_takes_no_more(
    own_server, make_tier, single_flight
):
    tier = make_tier(own_server.url, single_flight=single_flight)
    tier.set_many("default", ITEMS[:8])
    own_server.run("CONFIG SET", "maxmemory", "1")
    with pytest.raises(CacheUnavailableError, match="is full"):
        tier.set_many("default", ITEMS)
    assert tier.get_many("default", KEYS) == [*VALUES[:8], *[None] * 56]
    assert tier.stats().state == "read_only"
    assert "maxmemory-policy" in tier.stats().message
    own_server.run("CONFIG SET", "maxmemory", "0")
    tier.set_many("default", ITEMS)
    assert tier.get_many("default", KEYS) == VALUES
    assert tier.stats().state == "ok"


def test_a_replica_is_read_only_and_says_so(own_server, make_tier):
    tier = make_tier(own_server.url)
    tier.set_many("default", ITEMS)
    own_server.run("REPLICAOF", "127.0.0.1", "1")
    with pytest.raises(CacheUnavailableError, match="read-only replica"):
        tier.set_many("default", ITEMS)
    assert tier.get_many("default", KEYS) == VALUES
    assert tier.stats().state == "read_only"


@pytest.mark.parametrize("password", ["", "a wrong word"])
def test_a_wrong_password_is_said_and_never_shown(password, tmp_path, make_tier):
    server = RedisServer(tmp_path, "--requirepass", "the right word")
    server.start()
    try:
        tier = make_tier(server.url, password=password)
        with pytest.raises(CacheUnavailableError, match="refuses the password"):
            tier.get_many("default", KEYS)
        assert tier.stats().state == "tripped"
        assert "plugin.redis.password" in tier.stats().message
        assert "wrong" not in tier.stats().message
        right = make_tier(server.url, password="the right word")
        right.set_many("default", ITEMS)
        assert right.get_many("default", KEYS) == VALUES
        in_url = make_tier(server.url.replace("://", "://:the%20right%20word@"))
        assert in_url.get_many("default", KEYS) == VALUES
    finally:
        server.kill()


def test_a_user_who_may_only_read_reads(own_server, make_tier):
    make_tier(own_server.url).set_many("default", ITEMS)
    own_server.run("ACL SETUSER", "reader", "on", ">word", "~e:*", "+get", "+mget")
    tier = make_tier(own_server.url, username="reader", password="word")
    assert tier.get_many("default", KEYS) == VALUES
    with pytest.raises(CacheUnavailableError, match="does not let this user"):
        tier.set_many("default", ITEMS)
    assert tier.stats().state == "read_only"


def test_what_is_not_ours_is_a_miss(server, make_tier):
    tier = make_tier(server.url)
    tier.set_many("default", ITEMS[:8])
    names = [f"e:default:{key.hex()}" for key in KEYS]
    server.run("SET", names[0], "somebody else's")
    server.run("SET", names[1], "")
    server.run("SETRANGE", names[2], 100, "X")
    server.run("APPEND", names[3], "X")
    server.run("COPY", names[7], names[4], "REPLACE")
    server.run("DEL", names[5])
    server.run("RPUSH", names[5], "a", "list")
    assert tier.get_many("default", KEYS[:8]) == [None] * 6 + VALUES[6:8]
    assert tier.stats().corrupt >= 5
    tier.set_many("default", ITEMS[:8])
    assert tier.get_many("default", KEYS[:8]) == VALUES[:8]


def test_a_list_where_a_value_should_be_is_a_miss_for_a_refreshing_tier_too(server, make_tier):
    tier = make_tier(server.url, refresh_ttl=True, single_flight=True)
    server.run("RPUSH", f"e:default:{sample_key(1).hex()}", "a", "list")
    assert tier.get_many("default", [sample_key(1)]) == [None]


def test_a_server_that_loads_its_data_says_so_until_it_is_done(tmp_path, make_tier):
    slowly = ("--enable-debug-command", "yes", "--loading-process-events-interval-bytes", "1024")
    with redis_server(tmp_path, *slowly) as server:
        tier = make_tier(server.url)
        tier.set_many("default", sample_items(range(1_000)))
        server.run("CONFIG SET", "key-load-delay", "1000")
        reload = threading.Thread(target=server.run, args=["DEBUG", "RELOAD"])
        reload.start()
        said = ""
        while "loading its data" not in said:
            assert reload.is_alive()
            try:
                tier.get_many("default", KEYS)
            except CacheUnavailableError as exc:
                said = exc.message
            time.sleep(0.01)
        reload.join()
        assert tier.get_many("default", KEYS) == VALUES
