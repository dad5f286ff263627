from __future__ import annotations

import logging
import subprocess
import sys

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from redis import exceptions as errors
from redis.crc import key_slot

from emberd.config import CacheSettings
from emberd.errors import CacheUnavailableError
from emberd.plugins import PluginContext
from emberd_redis.keys import Names
from emberd_redis.library import explain
from emberd_redis.lifetime import Lifetime
from emberd_redis.plugin import plugin as entry_point
from emberd_redis.sealed import seal, unseal
from emberd_redis.settings import RedisSettings, check_settings

namespaces = st.text(max_size=20)
keys = st.binary(min_size=1, max_size=32)


@given(namespaces, keys, namespaces, keys)
def test_every_namespace_and_key_has_a_name_of_its_own(namespace, key, other, other_key):
    names = Names("e")
    is_same = names.of(namespace, [key]) == names.of(other, [other_key])
    assert is_same == ((namespace, key) == (other, other_key))


@given(namespaces, keys)
@example("x", b"\0")
def test_a_name_is_known_as_ours_and_by_no_other_prefix(namespace, key):
    made = Names("e").of(namespace, [key])
    assert Names("e").are_ours(made) == made
    assert Names("e:x").are_ours(made) == Names("x").are_ours(made) == []
    assert Names("e").are_ours(Names("e:x").of(namespace, [key])) == []


@given(namespaces, keys)
def test_a_lock_is_in_the_slot_of_its_name_and_not_taken_for_a_record(namespace, key):
    (name,) = Names("e").of(namespace, [key])
    lock = Names.lock(name)
    assert key_slot(lock) == key_slot(name)
    assert Names("e").are_ours([lock]) == []


@given(keys, st.binary(max_size=64), st.integers(0, 2**32 - 1))
def test_what_is_sealed_comes_back_with_its_date(name, value, created):
    assert unseal(name, seal(name, value, created)) == (value, created)


@given(keys, st.binary(max_size=64), st.data())
def test_a_flipped_bit_a_cut_or_a_wrong_name_is_no_record(name, value, data):
    sealed = seal(name, value, 1_700_000_000)
    place = data.draw(st.integers(0, len(sealed) * 8 - 1))
    flipped = bytearray(sealed)
    flipped[place // 8] ^= 1 << place % 8
    assert unseal(name, bytes(flipped)) is None
    assert unseal(name + b"x", sealed) is None
    assert unseal(name, sealed[: data.draw(st.integers(0, len(sealed) - 1))]) is None


@pytest.mark.parametrize(
    ("settings", "cache", "expected"),
    [
        ({}, {}, Lifetime(86_400_000, False, 0.0)),
        ({"ttl_s": 0}, {}, Lifetime(0, False, 0.0)),
        ({"ttl_s": 0}, {"ttl_s": 60}, Lifetime(60_000, False, 60.0)),
        ({"ttl_s": 10}, {"ttl_s": 60}, Lifetime(10_000, False, 60.0)),
        ({"refresh_ttl": True}, {"ttl_s": 60}, Lifetime(60_000, True, 60.0)),
        ({}, {"ttl_s": 60, "sliding_ttl": True}, Lifetime(60_000, True, 0.0)),
    ],
)
def test_a_record_lives_no_longer_than_the_cache_allows(settings, cache, expected):
    assert Lifetime.of(RedisSettings(**settings), CacheSettings(**cache)) == expected


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (errors.AuthenticationError("WRONGPASS"), "refuses the password"),
        (errors.NoPermissionError("NOPERM"), "does not let this user"),
        (errors.BusyLoadingError("Redis is loading"), "is loading its data"),
        (errors.OutOfMemoryError("OOM"), "maxmemory"),
        (errors.ReadOnlyError("READONLY"), "read-only replica"),
        (errors.ClusterDownError("CLUSTERDOWN"), "cluster that is down"),
        (errors.MovedError("1 127.0.0.1:7001"), "cluster to true"),
        (errors.TimeoutError("Timeout reading from socket"), "does not answer in time"),
        (errors.ConnectionError("Error 111"), "cannot be reached (Error 111)"),
        (errors.ResponseError("something new"), "answered: something new"),
        (errors.ResponseError(), "answered: ResponseError"),
    ],
)
def test_an_error_says_which_server_and_what_is_wrong(error, words):
    said = explain(error, "cache:6379")
    assert said.startswith("Redis at cache:6379 ")
    assert words in said


@pytest.mark.parametrize(
    "url",
    ["redis://cache", "rediss://cache:6380/1", "unix:///run/redis.sock", "redis://[::1]:7000"],
)
def test_good_urls_pass(url):
    check_settings(RedisSettings(url=url))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://cache", "http is none of"),
        ("cache:6379", "is none of"),
        ("redis://", "names no host"),
        ("redis://cache:many/0", "Port could not be cast"),
    ],
)
def test_a_bad_url_says_what_to_write(url, words):
    with pytest.raises(ValueError, match=words):
        check_settings(RedisSettings(url=url))


@pytest.mark.parametrize("prefix", ["", "a b", "a*", "{a}", "ä", "x" * 65])
def test_a_prefix_that_a_glob_or_a_cluster_minds_is_refused(prefix):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"prefix": prefix}, RedisSettings)


def test_the_plugin_offers_a_tier_without_asking_the_server(tmp_path):
    plugin = entry_point()
    assert plugin.emberd_settings() is RedisSettings
    context = PluginContext(
        name="redis",
        settings=RedisSettings(url="redis://127.0.0.1:1/0"),
        folder=tmp_path,
        cache_settings=CacheSettings(),
        log=logging.getLogger("redis"),
        models_folder=tmp_path / "models",
    )
    plugin.emberd_check(context)
    (tier,) = plugin.emberd_cache_tiers(context)
    assert tier.name == "redis"
    assert plugin.emberd_statistics() is tier
    assert tier.stats().state == "tripped"
    assert "127.0.0.1:1 cannot be reached" in tier.stats().message
    with pytest.raises(CacheUnavailableError, match="cannot be reached"):
        plugin.emberd_check(context)
    tier.close()


def test_without_redis_py_the_error_says_what_to_install():
    code = "import sys; sys.modules['redis'] = None; import emberd_redis.plugin"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().endswith("not installed: pip install 'emberd[redis]'.")
    assert "ImportError" in done.stderr
