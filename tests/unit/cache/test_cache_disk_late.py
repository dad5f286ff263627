from __future__ import annotations

import threading

import pytest
from cache_helpers import key, pairs, value

from emberd.cache.chain import Cache
from emberd.cache.disk import LateLmdbTier, LmdbOptions, LmdbTier
from emberd.config import CacheSettings
from emberd.errors import CacheUnavailableError
from emberd.records.keys import KeySpace

OPTIONS = LmdbOptions(budget_bytes=1 << 20)


@pytest.fixture
def held_back(monkeypatch):
    """Opening waits for this event."""
    event = threading.Event()
    opening = LmdbTier.open

    def wait(*arguments):
        assert event.wait(30)
        return opening(*arguments)

    monkeypatch.setattr(LmdbTier, "open", wait)
    return event


def test_until_it_is_open_lookups_miss_and_say_why(tmp_path, held_back):
    tier = LateLmdbTier(tmp_path, OPTIONS)
    assert tier.get_many("n", [key(1)]) == [None]
    assert tier.namespaces() == {}
    assert tier.stats().state == "off"
    assert "being opened" in tier.stats().message
    held_back.set()
    assert tier.wait(30)
    assert tier.stats().state == "ok"
    tier.set_many("n", pairs([1]))
    assert tier.get_many("n", [key(1)]) == [value(1)]
    assert tier.delete_many("n", [key(1)]) == 1
    assert tier.clear("n") == 0
    tier.maintain()
    tier.close()


def test_writes_wait_until_it_is_open(tmp_path, held_back):
    tier = LateLmdbTier(tmp_path, OPTIONS)
    writer = threading.Thread(target=tier.set_many, args=("n", pairs([1])))
    writer.start()
    held_back.set()
    writer.join(30)
    assert tier.get_many("n", [key(1)]) == [value(1)]
    tier.close()


def test_closing_while_it_opens_leaves_the_folder_free(tmp_path, held_back):
    tier = LateLmdbTier(tmp_path, OPTIONS)
    opener = next(thread for thread in threading.enumerate() if thread.name == "cache-open")
    tier.close()
    with pytest.raises(CacheUnavailableError, match="closed"):
        tier.set_many("n", pairs([1]))
    held_back.set()
    opener.join(30)
    assert tier.get_many("n", [key(1)]) == [None]
    LmdbTier.open(tmp_path, OPTIONS).close()


async def test_failing_to_open_is_a_state_and_not_the_end(tmp_path):
    (tmp_path / "file").write_text("in the way")
    tier = LateLmdbTier(tmp_path / "file", OPTIONS)
    cache = Cache(CacheSettings(commit_ms=10), [tier])
    await cache.start()
    tier.wait(30)
    space = KeySpace("default", "f", "", "end", "f16")
    cache.store(space, ["a"], [key("a")], [value("a")])
    await cache.flush()
    assert await cache.lookup_tiers(space, ["b"], [key("b")], value_size=772) == ([None], {})
    below = cache.stats().tiers[1]
    assert below.state == "off"
    assert "EMBERD_HOME" in below.message
    await cache.close()


async def test_the_chain_and_the_persistent_tier_work_together(tmp_path):
    space = KeySpace("default", "f", "", "end", "f16")
    names = [f"text {name}" for name in range(100)]
    keys = space.keys(names)
    for attempt in range(2):
        tier = LateLmdbTier(tmp_path, LmdbOptions.from_settings(CacheSettings(disk_mib=4)))
        tier.wait(30)
        cache = Cache(CacheSettings(), [tier])
        await cache.start()
        found, hits = await cache.lookup_tiers(space, names, keys, value_size=772)
        if attempt == 0:
            assert (found, hits) == ([None] * 100, {})
            cache.store(space, names, keys, [value(name) for name in names])
        else:
            assert (found, hits) == ([value(name) for name in names], {"lmdb": 100})
            assert cache.lookup_memory(space, names)[0] == found
            await cache.flush()
            assert cache.stats().namespaces[0].entries == 100
            assert cache.stats().namespaces[0].hits == 200
        await cache.close()
