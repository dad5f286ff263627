"""Daemons that share a Redis."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from daemon_process import DaemonProcess, MakeDaemon

from emberd.client import Client
from emberd.wire.snapshot import TierStats
from redis_servers import RedisServer, redis_cluster, redis_server

PATIENT = {
    "EMBERD_PLUGIN__REDIS__TIMEOUT_MS": "400",
    "EMBERD_PLUGIN__REDIS__CONNECT_TIMEOUT_MS": "400",
}
TEXTS = [f"the {number}th thing that two daemons share" for number in range(40)]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


def started(make_daemon: MakeDaemon, url: str, **variables: str) -> DaemonProcess:
    daemon = make_daemon(EMBERD_PLUGIN__REDIS__URL=url, **PATIENT, **variables)
    answer = daemon.start()
    assert answer["state"] == "ready", answer
    return daemon


def tier_of(client: Client) -> TierStats:
    (tier,) = [tier for tier in client.stats(fresh=True).cache.tiers if tier.name == "redis"]
    return tier


def until(client: Client, is_so: Callable[[TierStats], bool]) -> TierStats:
    """Wait for figures of the tier; they come once a second."""
    while not is_so(tier := tier_of(client)):
        pass
    return tier


def share(one: Client, other: Client) -> None:
    """What one computes the other finds, byte for byte."""
    computed = one.embed_detailed(TEXTS)
    assert computed.computed == len(TEXTS)
    until(one, lambda tier: tier.entries >= len(TEXTS))
    found = other.embed_detailed(TEXTS)
    assert found.hits == {"redis": len(TEXTS)}
    assert np.array_equal(found.vectors, computed.vectors)
    assert other.embed_detailed(TEXTS).hits == {"memory": len(TEXTS)}


def test_two_daemons_share_vectors_byte_for_byte(
    redis: RedisServer, make_daemon: MakeDaemon
) -> None:
    one, other = (started(make_daemon, redis.url) for _ in range(2))
    with one.client() as first, other.client() as second:
        share(first, second)
        assert tier_of(second).kind == "redis"


def test_they_share_over_a_cluster_too(tmp_path: Path, make_daemon: MakeDaemon) -> None:
    with redis_cluster(tmp_path) as servers:
        one, other = (started(make_daemon, server.url) for server in servers[:2])
        with one.client() as first, other.client() as second:
            share(first, second)
            assert tier_of(second).kind == "redis cluster"


def test_clearing_the_cache_clears_redis(redis: RedisServer, make_daemon: MakeDaemon) -> None:
    daemon = started(make_daemon, redis.url)
    with daemon.client() as client:
        client.embed(TEXTS)
        until(client, lambda tier: tier.entries >= len(TEXTS))
        client.cache_clear(None)
        assert redis.run("DBSIZE") == 0


def test_a_redis_killed_in_mid_load_fails_no_request_and_is_used_again_later(
    redis: RedisServer, make_daemon: MakeDaemon
) -> None:
    daemon = started(make_daemon, redis.url, EMBERD_CACHE__DISK_MIB="0")
    is_over = threading.Event()

    def load(worker: int) -> int:
        """New texts without end, so that every request asks Redis."""
        count = 0
        with daemon.client() as client:
            while not is_over.is_set():
                client.embed([f"load {worker} {count}", f"more load {worker} {count}"])
                count += 1
        return count

    with ThreadPoolExecutor(2) as pool, daemon.client() as client:
        try:
            loads = [pool.submit(load, worker) for worker in range(2)]
            until(client, lambda tier: tier.entries > 10)
            redis.kill()
            tier = until(client, lambda tier: tier.state == "tripped" and tier.errors >= 5)
            assert "cannot be reached" in tier.message
            redis.start()
            until(client, lambda tier: tier.state == "ok" and tier.entries > 10)
        finally:
            is_over.set()
        assert all(load.result() > 10 for load in loads)
        events = [event.event for event in client.stats().events]
        assert "cache.tier_tripped" in events
        assert "cache.tier_recovered" in events
        (plugin,) = [each for each in client.stats(fresh=True).plugins if each.name == "redis"]
        assert plugin.state == "enabled"  # an outage is not the plugin's fault


def test_a_daemon_that_cannot_reach_redis_serves_and_says_why(
    tmp_path: Path, make_daemon: MakeDaemon
) -> None:
    daemon = started(make_daemon, "redis://127.0.0.1:1/0")
    with daemon.client() as client:
        assert client.embed(TEXTS).shape[0] == len(TEXTS)
        tier = tier_of(client)
        assert tier.state == "tripped"
        assert "127.0.0.1:1 cannot be reached" in tier.message


def test_a_wrong_password_is_told_and_shown_nowhere(
    redis: RedisServer, make_daemon: MakeDaemon
) -> None:
    redis.run("CONFIG SET", "requirepass", "opensesame")
    daemon = started(make_daemon, f"redis://:hunter2@127.0.0.1:{redis.port}/0")
    with daemon.client() as client:
        assert client.embed(TEXTS).shape[0] == len(TEXTS)
        tier = until(client, lambda tier: tier.state == "tripped")
        assert "refuses the password" in tier.message
        (checked,) = client.check_plugins("redis")
        assert checked.state == "check_error"
        assert "hunter2" not in str(client.plugin_info("redis"))
        assert client.embed(TEXTS).shape[0] == len(TEXTS)
    daemon.stop()
    assert "hunter2" not in daemon.log()
