"""One server and one cluster for all tests of a process, emptied before each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from emberd.config import CacheSettings
from emberd_redis.settings import RedisSettings
from emberd_redis.tier import RedisTier
from redis_servers import RedisServer, redis_cluster, redis_server

MakeTier = Callable[..., RedisTier]


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def server(shared_server: RedisServer) -> RedisServer:
    """A server with nothing in it."""
    shared_server.run("FLUSHALL")
    return shared_server


@pytest.fixture
def own_server(tmp_path) -> Iterator[RedisServer]:
    """A server that the test may treat badly."""
    with redis_server(tmp_path) as server:
        yield server


@pytest.fixture(scope="session")
def shared_cluster(tmp_path_factory) -> Iterator[list[RedisServer]]:
    with redis_cluster(tmp_path_factory.mktemp("redis-cluster")) as servers:
        yield servers


@pytest.fixture
def cluster(shared_cluster: list[RedisServer]) -> list[RedisServer]:
    """Three primaries with nothing in them."""
    for each in shared_cluster:
        each.run("FLUSHALL")
    return shared_cluster


@pytest.fixture
def make_tier() -> Iterator[MakeTier]:
    """Makes tiers that are closed with the test. They are patient, as these tests share their
    processors, unless told otherwise."""
    made: list[RedisTier] = []

    def make(url: str, *, cache: dict[str, Any] | None = None, clock=None, **settings) -> RedisTier:
        patient = {"timeout_ms": 400, "connect_timeout_ms": 400}
        found = RedisSettings(url=url, **{**patient, **settings})
        tier = RedisTier(
            found, CacheSettings(**(cache or {})), **({"clock": clock} if clock else {})
        )
        made.append(tier)
        return tier

    yield make
    for tier in made:
        tier.close()
