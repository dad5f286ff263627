from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from write_cache_data import NAMES, NAMESPACES, WRITTEN_AT, item, write

from emberd.cache.disk import LmdbOptions, LmdbTier

DATA = Path(__file__).parent / "data"
VERSIONS = sorted(folder.name for folder in DATA.glob("cache-v*"))


def check(folder: Path) -> None:
    tier = LmdbTier.open(folder, LmdbOptions(budget_bytes=1 << 20))
    try:
        assert tier.stats().message == ""
        for namespace in NAMESPACES:
            items = [item(namespace, name) for name in NAMES]
            if namespace == NAMESPACES[0]:
                assert tier.get_many(namespace, [items.pop(0)[0]]) == [None]
            values, dates = tier.get_many_dated(namespace, [key for key, _ in items])
            assert values == [value for _, value in items]
            assert set(dates) == {WRITTEN_AT}
        tier.set_many("default", [item("default", 0)])
        assert tier.get_many("default", [item("default", 0)[0]]) == [item("default", 0)[1]]
    finally:
        tier.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_cache_written_by_an_older_version_is_served(version, tmp_path):
    check(Path(shutil.copytree(DATA / version, tmp_path / version)))


def test_golden_data_is_small_and_there():
    assert "cache-v1" in VERSIONS
    for version in VERSIONS:
        files = [file for file in (DATA / version).rglob("*") if file.is_file()]
        assert sum(file.stat().st_size for file in files) < 200_000


def test_this_version_writes_what_the_check_expects(tmp_path):
    write(tmp_path)
    check(tmp_path)
