"""The cache's file, read by a process that does not write it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from cache_helpers import Clock

from emberd.cache.disk import LmdbOptions, LmdbTier
from emberd.records.keys import KeySpace
from emberd.records.mapped import MappedCache, attach, detach
from emberd.records.tables import UnusableError
from emberd.records.values import pack_values, value_size

SPACE = KeySpace("n", "fingerprint", "", "end", "f16")
OTHER = KeySpace("m", "fingerprint", "", "end", "f16")
TEXTS = [f"text {number}" for number in range(20)]
SIZE = value_size(384, "f16")


def values_of(texts: list[str]) -> list[bytes]:
    seeds = np.arange(len(texts), dtype=np.float32)[:, None]
    vectors = np.sin(seeds * 7 + np.arange(384, dtype=np.float32))
    return pack_values(vectors, [3] * len(texts), [False] * len(texts), "f16")


def write(folder: Path, clock: Clock | None = None, *, budget_bytes: int = 8 << 20) -> None:
    tier = LmdbTier.open(folder, LmdbOptions(budget_bytes=budget_bytes, clock=clock or Clock()))
    tier.set_many("n", list(zip(SPACE.keys(TEXTS), values_of(TEXTS), strict=True)))
    tier.close()


@contextmanager
def reading(folder: Path, map_bytes: int = 1 << 20) -> Iterator[MappedCache]:
    mapped = attach(folder / "lmdb", map_bytes)
    try:
        yield mapped
    finally:
        detach(mapped)


def found(
    mapped: MappedCache,
    texts: list[str] = TEXTS,
    space: KeySpace = SPACE,
    *,
    ttl_s: float = 0.0,
    now: float = 0.0,
    size: int = SIZE,
) -> list[bytes | None]:
    return mapped.lookup(space, texts, value_size=size, ttl_s=ttl_s, now=now).values


def test_it_finds_what_was_written_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path)
    with reading(tmp_path) as mapped:
        asked = [TEXTS[4], "unknown", TEXTS[4], TEXTS[0]]
        values = values_of(TEXTS)
        for _ in range(2):  # from the file, then from what was read of it
            assert found(mapped, asked) == [values[4], None, values[4], values[0]]
        assert found(mapped, asked, OTHER) == [None] * 4
        assert found(mapped, size=SIZE + 1, texts=["text 5"]) == [None]


def test_a_record_of_the_age_of_the_ttl_is_a_miss(tmp_path: Path) -> None:
    clock = Clock()
    write(tmp_path, clock)
    with reading(tmp_path) as mapped:
        assert None not in found(mapped, ttl_s=60, now=clock() + 59)
        assert found(mapped, ttl_s=60, now=clock() + 60) == [None] * 20


def test_a_flipped_bit_is_a_miss(tmp_path: Path) -> None:
    write(tmp_path)
    file = tmp_path / "lmdb" / "data.mdb"
    data = bytearray(file.read_bytes())
    data[data.index(values_of(TEXTS)[7]) + 100] ^= 4
    file.write_bytes(data)
    with reading(tmp_path) as mapped:
        assert [text for text, value in zip(TEXTS, found(mapped), strict=True) if not value] == [
            TEXTS[7]
        ]


def test_a_file_that_is_not_there_is_told_and_read_once_it_is(tmp_path: Path) -> None:
    with reading(tmp_path) as mapped:
        with pytest.raises(UnusableError):
            found(mapped)
        write(tmp_path)
        assert None not in found(mapped)


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "lmdb" / "data.mdb").write_bytes(b"nothing of the kind" * 1_000)
    with reading(tmp_path) as mapped, pytest.raises(UnusableError, match="cannot be read"):
        found(mapped)


def test_a_writer_in_this_process_takes_the_file_over(tmp_path: Path) -> None:
    write(tmp_path)
    with reading(tmp_path) as mapped:
        assert None not in found(mapped)
        tier = LmdbTier.open(tmp_path, LmdbOptions(budget_bytes=8 << 20))
        with pytest.raises(UnusableError, match="already open"):
            found(mapped)
        tier.clear()
        tier.close()
        assert found(mapped) == [None] * 20


def test_rows_that_others_read_are_kept_before_those_that_nobody_read(tmp_path: Path) -> None:
    write(tmp_path, budget_bytes=1 << 20)
    with reading(tmp_path) as mapped:
        rowids = mapped.lookup(SPACE, TEXTS[:10], value_size=SIZE, ttl_s=0, now=0).rowids
    tier = LmdbTier.open(tmp_path, LmdbOptions(budget_bytes=1 << 20))
    more = [f"more {number}" for number in range(1_000)]
    tier.touch([*rowids, 1 << 40])
    items = list(zip(SPACE.keys(more), values_of(more), strict=True))
    while not tier.stats().evictions:
        tier.set_many("n", items[:100])
        items = items[100:]
    kept = [value is not None for value in tier.get_many("n", SPACE.keys(TEXTS))]
    tier.close()
    assert kept == [True] * 10 + [False] * 10


GROWING = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from cache_helpers import pairs
from emberd.cache.disk import LmdbOptions, LmdbTier
tier = LmdbTier.open(Path(sys.argv[1]), LmdbOptions(budget_bytes=32 << 20))
tier.set_many("n", pairs(range(8_000)))
tier.close()
"""


def test_a_file_that_another_process_made_larger_is_followed(tmp_path: Path) -> None:
    write(tmp_path)
    with reading(tmp_path, map_bytes=1 << 20) as mapped:
        assert None not in found(mapped)
        here = str(Path(__file__).parent)
        subprocess.run([sys.executable, "-c", GROWING, str(tmp_path), here], check=True, timeout=60)
        assert (tmp_path / "lmdb" / "data.mdb").stat().st_size > 2 << 20
        assert found(mapped) == values_of(TEXTS)
