from __future__ import annotations

import threading
from contextlib import contextmanager

import lmdb
import pytest
from cache_helpers import Clock, key, pairs, value
from lmdb.verify import verify

from emberd.cache.disk import LmdbOptions, LmdbTier
from emberd.config import CacheSettings, NamespaceSettings
from emberd.errors import CacheUnavailableError

MIB = 1 << 20


@contextmanager
def opened(folder, *, budget_bytes=8 * MIB, **options):
    tier = LmdbTier.open(folder, LmdbOptions(budget_bytes=budget_bytes, **options))
    try:
        yield tier
    finally:
        tier.close()


def held(tier: LmdbTier, names, namespace: str = "n") -> list[object]:
    """Those of the names that are there; a wrong value fails the test."""
    found = tier.get_many(namespace, [key(name) for name in names])
    for name, each in zip(names, found, strict=True):
        assert each is None or each == value(name, len(each))
    return [name for name, each in zip(names, found, strict=True) if each is not None]


def file_bytes(folder) -> int:
    return (folder / "lmdb" / "data.mdb").stat().st_size


def test_it_outlives_its_process(tmp_path):
    with opened(tmp_path) as tier:
        tier.set_many("n", pairs(range(1_000)))
        tier.set_many("m", pairs(range(5)))
    with opened(tmp_path) as tier:
        assert held(tier, range(1_000)) == list(range(1_000))
        assert tier.stats().entries == 1_005
        assert tier.namespaces()["m"][0] == 5
        assert tier.stats().message == ""


def test_rewriting_a_key_leaves_one_row(tmp_path):
    with opened(tmp_path) as tier:
        for size in (100, 772, 5_000):
            tier.set_many("n", [(key("a"), value("a", size))])
        tier.set_many("n", [(key("b"), b"1"), (key("b"), b"2")])
        assert tier.get_many("n", [key("a"), key("b")]) == [value("a", 5_000), b"2"]
        assert tier.stats().entries == 2


def test_the_byte_budget_is_kept_through_turnover(tmp_path):
    with opened(tmp_path, budget_bytes=2 * MIB) as tier:
        for start in range(0, 8_000, 250):
            tier.set_many("n", pairs(range(start, start + 250)))
            assert file_bytes(tmp_path) <= 2 * MIB
        stats = tier.stats()
        assert stats.size_bytes <= 2 * MIB
        assert stats.evictions == 8_000 - stats.entries > 0
        newest = list(range(8_000 - stats.entries, 8_000))
        assert held(tier, newest) == newest
    assert verify(str(tmp_path / "lmdb")) == []


def test_rows_that_are_read_outlive_rows_that_are_not(tmp_path):
    with opened(tmp_path, budget_bytes=2 * MIB) as tier:
        favourites = list(range(50))
        for start in range(0, 6_000, 250):
            tier.set_many("n", pairs(range(start, start + 250)))
            assert held(tier, favourites) == favourites


def test_reads_never_write(tmp_path):
    with opened(tmp_path) as tier:
        tier.set_many("n", pairs(range(100)))
        before = (tmp_path / "lmdb" / "data.mdb").stat().st_mtime_ns
        held(tier, range(200))
        tier.get_many("unknown", [key(1)])
        assert (tmp_path / "lmdb" / "data.mdb").stat().st_mtime_ns == before
        assert "unknown" not in tier.namespaces()


def test_a_namespace_with_a_budget_evicts_its_own_rows(tmp_path):
    with opened(tmp_path, namespace_budgets={"small": MIB // 2}) as tier:
        tier.set_many("big", pairs(range(1_000)))
        for start in range(0, 3_000, 100):
            tier.set_many("small", pairs(range(start, start + 100)))
        assert tier.namespaces()["small"][1] <= MIB // 2
        assert held(tier, range(1_000), "big") == list(range(1_000))
        assert held(tier, range(2_900, 3_000), "small") == list(range(2_900, 3_000))


def test_the_whole_budget_evicts_the_oldest_of_all_namespaces(tmp_path):
    with opened(tmp_path, budget_bytes=2 * MIB) as tier:
        tier.set_many("old", pairs(range(500)))
        for start in range(0, 3_000, 250):
            tier.set_many("new", pairs(range(start, start + 250)))
        assert held(tier, range(500), "old") == []
        assert tier.namespaces()["old"][0] == 0


def test_a_value_too_large_for_the_budget_is_dropped_alone(tmp_path):
    with opened(tmp_path, budget_bytes=2 * MIB) as tier:
        tier.set_many("n", [(key("big"), bytes(MIB)), (key("a"), value("a"))])
        assert held(tier, ["big", "a"]) == ["a"]


def test_clearing_a_namespace_leaves_the_others(tmp_path):
    with opened(tmp_path) as tier:
        tier.set_many("a", pairs(range(2_500)))
        tier.set_many("b", pairs(range(10)))
        assert tier.clear("a") == 2_500
        assert held(tier, range(2_500), "a") == []
        assert held(tier, range(10), "b") == list(range(10))
        assert tier.clear("a") == tier.clear("nobody") == 0
        tier.set_many("a", pairs(range(10)))
        assert held(tier, range(10), "a") == list(range(10))


def test_clearing_everything_gives_the_disk_space_back(tmp_path):
    with opened(tmp_path) as tier:
        tier.set_many("a", pairs(range(2_000)))
        tier.set_many("b", pairs(range(2_000)))
        assert file_bytes(tmp_path) > 3 * MIB
        assert tier.clear() == 4_000
        assert file_bytes(tmp_path) < 100_000
        tier.set_many("a", pairs(range(10)))
        assert held(tier, range(10), "a") == list(range(10))
        assert tier.clear("a") == 10  # the last one left: space back too
        assert file_bytes(tmp_path) < 100_000


def test_lowering_the_budget_shrinks_the_file_and_keeps_the_newest(tmp_path):
    with opened(tmp_path, budget_bytes=8 * MIB) as tier:
        tier.set_many("a", pairs(range(3_000)))
        tier.set_many("b", pairs(range(3_000)))
    with opened(tmp_path, budget_bytes=2 * MIB) as tier:
        assert file_bytes(tmp_path) <= 2 * MIB
        assert tier.namespaces()["a"][0] == 0
        kept = held(tier, range(3_000), "b")
        assert len(kept) > 1_500
        assert kept == list(range(3_000 - len(kept), 3_000))
        tier.set_many("b", pairs(["new"]))
        assert held(tier, ["new"], "b") == ["new"]
    assert verify(str(tmp_path / "lmdb")) == []
    assert not (tmp_path / "lmdb.rebuilt").exists()


def test_rows_age_and_are_swept(tmp_path):
    clock = Clock()
    with opened(tmp_path, ttl_s=60, clock=clock) as tier:
        tier.set_many("n", pairs(["old"]))
        clock.advance(30)
        tier.set_many("n", pairs(["young"]))
        clock.advance(30)
        assert held(tier, ["old", "young"]) == ["young"]
        assert tier.stats().expired == 1
        assert tier.stats().entries == 2
        tier.maintain()
        assert tier.stats().entries == 1
        clock.advance(30)
        tier.set_many("n", pairs(["newest"]))
        assert tier.stats().entries == 1


def test_a_sliding_age_counts_from_the_last_hit_even_across_a_restart(tmp_path):
    clock = Clock()
    options = {"ttl_s": 80, "sliding_ttl": True, "clock": clock}
    with opened(tmp_path, **options) as tier:
        tier.set_many("n", pairs(["asked", "not"]))
        for _ in range(3):
            clock.advance(60)
            assert held(tier, ["asked"]) == ["asked"]
        assert held(tier, ["not"]) == []
        tier.maintain()
        assert tier.stats().entries == 1
    clock.advance(60)
    with opened(tmp_path, **options) as tier:
        assert held(tier, ["asked"]) == ["asked"]
        assert tier.get_many_dated("n", [key("asked"), key("not")])[1] == [clock(), 0.0]


def test_dates_are_those_of_the_writing(tmp_path):
    clock = Clock()
    with opened(tmp_path, clock=clock) as tier:
        tier.set_many("n", pairs(["a"]))
        clock.advance(30)
        assert tier.get_many_dated("n", [key("a")])[1] == [clock() - 30]


def test_damaged_rows_are_misses_that_go_away(tmp_path):
    with opened(tmp_path) as tier:
        tier.set_many("n", pairs(range(20)))
    file = tmp_path / "lmdb" / "data.mdb"
    data = bytearray(file.read_bytes())
    data[data.index(value(7)) + 100] ^= 4
    file.write_bytes(data)
    with opened(tmp_path) as tier:
        assert held(tier, range(20)) == [name for name in range(20) if name != 7]
        assert (tier.stats().corrupt, tier.stats().entries) == (1, 19)
        tier.set_many("n", pairs([7]))
        assert held(tier, range(20)) == list(range(20))


def test_a_key_of_another_length_is_refused(tmp_path):
    with opened(tmp_path) as tier, pytest.raises(ValueError, match="16 bytes"):
        tier.set_many("n", [(b"short", b"value")])


def test_two_threads_read_right_values_while_one_writes(tmp_path):
    with opened(tmp_path, budget_bytes=2 * MIB) as tier:
        tier.set_many("n", pairs(range(200)))
        done, faults = threading.Event(), []

        def read() -> None:
            try:
                while not done.is_set():
                    held(tier, range(0, 4_000, 7))
            except BaseException as exc:
                faults.append(exc)

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        for start in range(0, 4_000, 100):
            tier.set_many("n", pairs(range(start, start + 100)))
            if start % 1_000 == 0:
                tier.clear()  # closes and opens the file under the readers
        done.set()
        for reader in readers:
            reader.join(30)
        assert faults == []


def test_closing_twice_is_closing_once_and_then_it_refuses(tmp_path):
    with opened(tmp_path) as tier:
        tier.set_many("n", pairs([1]))
        tier.close()
        tier.close()
        assert tier.stats().state == "off"
        for call in (
            lambda: tier.get_many("n", [key(1)]),
            lambda: tier.set_many("n", pairs([1])),
            lambda: tier.delete_many("n", [key(1)]),
            tier.clear,
        ):
            with pytest.raises(CacheUnavailableError, match="closed"):
                call()


def test_a_folder_in_use_is_refused(tmp_path):
    with opened(tmp_path) as tier:
        with pytest.raises(CacheUnavailableError, match="Another process uses the cache"):
            LmdbTier.open(tmp_path, LmdbOptions(budget_bytes=MIB))
        tier.set_many("n", pairs([1]))
        assert held(tier, [1]) == [1]


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(CacheUnavailableError, match="EMBERD_HOME"):
        LmdbTier.open(tmp_path / "file" / "cache", LmdbOptions(budget_bytes=MIB))


def test_a_newer_format_is_set_aside_and_never_deleted(tmp_path):
    for version in (2, 3, 4):
        with opened(tmp_path) as tier:
            tier.set_many("n", pairs([version]))
        env = lmdb.open(str(tmp_path / "lmdb"), max_dbs=9, lib_version=0)
        with env.begin(write=True) as txn:
            txn.put(b"format", b"%d" % version, db=env.open_db(b"meta", txn=txn))
        env.close()
        with opened(tmp_path) as tier:
            assert held(tier, [version]) == []
            assert f"format {version}" in tier.stats().message
    assert len(list(tmp_path.glob("lmdb.newer-*/data.mdb"))) == 3


def test_only_the_last_two_damaged_files_are_kept(tmp_path):
    for name in range(4):
        with opened(tmp_path) as tier:
            tier.set_many("n", pairs([name]))
        (tmp_path / "lmdb" / "data.mdb").write_bytes(b"x" * 10_000)
    with opened(tmp_path) as tier:
        assert "set aside" in tier.stats().message
        assert tier.stats().state == "ok"
    assert len(list(tmp_path.glob("lmdb.corrupt-*"))) == 2


def test_damage_that_shows_while_it_runs_is_set_aside_too(tmp_path):
    with opened(tmp_path) as tier:
        tier.set_many("n", pairs(range(200)))
        file = tmp_path / "lmdb" / "data.mdb"
        meta = file.read_bytes()[:8_192]
        with file.open("r+b") as stream:  # every page but the two that name the roots
            stream.seek(8_192)
            stream.write(b"\xa5" * (file.stat().st_size - 8_192))
        assert meta == file.read_bytes()[:8_192]
        with pytest.raises(CacheUnavailableError):
            tier.get_many("n", [key(1)])
        assert "set aside" in tier.stats().message
        tier.set_many("n", pairs([1]))
        assert held(tier, [1, 2]) == [1]


def test_settings_become_options():
    settings = CacheSettings(
        disk_mib=10,
        ttl_s=5.0,
        sliding_ttl=True,
        namespaces={"a": NamespaceSettings(disk_mib=2), "b": NamespaceSettings()},
    )
    options = LmdbOptions.from_settings(settings)
    assert options.budget_bytes == 10 * MIB
    assert options.namespace_budgets == {"a": 2 * MIB}
    assert (options.ttl_s, options.sliding_ttl) == (5.0, True)


def test_a_look_gives_value_and_age_and_lengthens_no_life(tmp_path):
    clock = Clock()
    with opened(tmp_path, ttl_s=60, sliding_ttl=True, clock=clock) as tier:
        tier.set_many("n", pairs(["a"]))
        written = int(clock())
        clock.advance(50)
        assert tier.peek("n", key("a")) == (value("a"), written)
        assert tier.peek("n", key("b")) == tier.peek("m", key("a")) == (None, None)
        clock.advance(20)
        assert tier.peek("n", key("a")) == (None, None)
        assert held(tier, ["a"]) == []
