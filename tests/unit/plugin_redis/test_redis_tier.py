from __future__ import annotations

import pytest

from emberd.plugins.abilities import Dated
from emberd.testing import CacheTierContract
from emberd.testing.cache_tier import sample_items, sample_key
from redis_servers import redis_server


class TestOneServer(CacheTierContract):
    @pytest.fixture
    def tier(self, server, make_tier):
        return make_tier(server.url)


class TestOneServerWithEveryOption(CacheTierContract):
    @pytest.fixture
    def tier(self, server, make_tier):
        return make_tier(server.url, refresh_ttl=True, single_flight=True, prefix="a:b.c")


class TestCluster(CacheTierContract):
    @pytest.fixture
    def tier(self, cluster, make_tier):
        return make_tier(cluster[0].url)


class TestClusterWithEveryOption(CacheTierContract):
    @pytest.fixture
    def tier(self, cluster, make_tier):
        return make_tier(cluster[1].url, cluster=True, refresh_ttl=True, single_flight=True)


def test_it_also_speaks_through_a_unix_socket(tmp_path, make_tier):
    path = tmp_path / "redis.sock"
    with redis_server(tmp_path, "--unixsocket", str(path)):
        tier = make_tier(f"unix://{path}")
        tier.set_many("default", sample_items(range(3)))
        assert None not in tier.get_many("default", [key for key, _ in sample_items(range(3))])
        assert tier.stats().entries == 3


def test_two_tiers_share_what_either_has_set(server, make_tier):
    one, other = make_tier(server.url), make_tier(server.url)
    one.set_many("default", sample_items(range(3)))
    assert other.get_many("default", [sample_key(2)]) == [
        dict(sample_items(range(3)))[sample_key(2)]
    ]


def test_tiers_with_different_prefixes_share_nothing(server, make_tier):
    one, other = make_tier(server.url, prefix="e"), make_tier(server.url, prefix="e:x")
    for tier in (one, other):
        tier.set_many("default", sample_items(range(3)))
    assert one.clear() == 3
    assert None not in other.get_many("default", [sample_key(0)])


def test_clearing_leaves_what_other_programs_keep_there(server, make_tier):
    tier = make_tier(server.url)
    tier.set_many("default", sample_items(range(3)))
    foreign = ["e", "e:", "e:default:", "e:default:not-hex", "e:default:ab:cd", "other:default:ab"]
    for name in foreign:
        server.run("SET", name, "theirs")
    assert tier.clear("default") == 3
    assert tier.clear() == 0
    assert server.run("DBSIZE") == len(foreign)


@pytest.mark.parametrize("namespace", ["", "a:b", "*", "{x}", "h[a-z]?", "größe", "x" * 200])
def test_any_namespace_is_kept_apart(namespace, server, make_tier):
    tier = make_tier(server.url)
    tier.set_many(namespace, sample_items(range(3)))
    tier.set_many("a", sample_items(range(3)))
    assert tier.clear(namespace) == 3
    assert None not in tier.get_many("a", [sample_key(0)])


def test_clearing_takes_many_steps_where_there_is_much(server, make_tier):
    tier = make_tier(server.url)
    tier.set_many("default", sample_items(range(5_000), size=8))
    assert tier.clear() == 5_000
    assert server.run("DBSIZE") == 0


def test_it_knows_when_its_records_were_made(server, make_tier):
    tier = make_tier(server.url, clock=lambda: 1_700_000_000.5)
    assert isinstance(tier, Dated)
    tier.set_many("default", sample_items(range(1)))
    values, born = tier.get_many_dated("default", [sample_key(0), sample_key(1)])
    assert values[1] is None
    assert born == [1_700_000_000.0, 0.0]


def test_what_is_too_large_is_not_kept_and_the_rest_is(server, make_tier):
    tier = make_tier(server.url, max_value_kib=1)
    tier.set_many("default", [(sample_key(1), b"x" * 1_025), (sample_key(2), b"x" * 1_024)])
    assert tier.get_many("default", [sample_key(1), sample_key(2)]) == [None, b"x" * 1_024]
    assert tier.statistics()["too_large"] == 1


def test_stats_tell_what_the_server_keeps(server, make_tier):
    tier = make_tier(server.url)
    tier.set_many("default", sample_items(range(5)))
    stats = tier.stats()
    assert (stats.kind, stats.entries, stats.budget_bytes) == ("redis", 5, 0)
    assert stats.size_bytes > 0


def test_a_closed_tier_refuses(server, make_tier):
    tier = make_tier(server.url)
    tier.close()
    with pytest.raises(Exception, match="closed"):
        tier.get_many("default", [sample_key(1)])
