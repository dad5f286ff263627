from __future__ import annotations

import lmdb
import pytest
from cache_helpers import key, pairs

from emberd.cache.disk import LmdbOptions, LmdbTier
from emberd.cache.disk.inspection import Verdict, inspect_data_file, problems_in
from emberd.cache.disk.pages import is_tiled, untiled_page_in

PAGE = 4_096


@pytest.fixture
def file(tmp_path):
    """A data file with index, row and overflow pages, some of them free."""
    tier = LmdbTier.open(tmp_path, LmdbOptions(budget_bytes=4 << 20))
    tier.set_many("n", pairs(range(300)))
    tier.set_many("n", pairs(range(20), 6_000))
    tier.delete_many("n", [key(name) for name in range(0, 300, 3)])
    tier.close()
    file = tmp_path / "lmdb" / "data.mdb"
    if lmdb.open(str(file.parent), lib_version=0).stat()["psize"] != PAGE:
        pytest.skip("the offsets below are those of 4 KiB pages")
    return file


@pytest.fixture(params=["here", "apart"])
def anywhere(request, monkeypatch):
    """The full check in this process, and in one of its own."""
    if request.param == "apart":
        monkeypatch.setattr("emberd.cache.disk.inspection._VERIFY_APART_BYTES", 0)


def tree_page(data: bytes) -> int:
    """Where a leaf with several nodes begins."""
    return next(
        start
        for start in range(2 * PAGE, len(data), PAGE)
        if data[start + 10 : start + 12] == b"\x02\x00" and data[start + 12] > 30
    )


def renumber_pages(data: bytearray) -> None:
    """Damage that any full check must see; the two meta pages stay as they are."""
    for start in range(2 * PAGE, len(data), PAGE):
        data[start] ^= 1


def test_nothing_is_a_fresh_start(tmp_path):
    assert inspect_data_file(tmp_path / "data.mdb", distrust=True).verdict is Verdict.FRESH
    (tmp_path / "data.mdb").touch()
    assert inspect_data_file(tmp_path / "data.mdb", distrust=True).verdict is Verdict.FRESH


@pytest.mark.usefixtures("anywhere")
def test_a_sound_file_is_found_sound(file):
    for distrust in (False, True):
        assert inspect_data_file(file, distrust=distrust).verdict is Verdict.SOUND


@pytest.mark.usefixtures("anywhere")
def test_damage_is_found_and_named(file):
    data = bytearray(file.read_bytes())
    renumber_pages(data)
    file.write_bytes(data)
    finding = inspect_data_file(file, distrust=True)
    assert finding.verdict is Verdict.DAMAGED
    assert "page" in finding.reason


def test_a_large_file_that_was_closed_in_order_is_trusted_if_it_is_long_enough(file, monkeypatch):
    monkeypatch.setattr("emberd.cache.disk.inspection._ALWAYS_VERIFY_BYTES", 0)
    data = bytearray(file.read_bytes())
    file.write_bytes(data[:-1])
    assert inspect_data_file(file, distrust=False).verdict is Verdict.DAMAGED
    renumber_pages(data)
    file.write_bytes(data)
    assert inspect_data_file(file, distrust=False).verdict is Verdict.SOUND
    assert inspect_data_file(file, distrust=True).verdict is Verdict.DAMAGED


def test_a_later_data_format_is_told_from_damage(file):
    data = bytearray(file.read_bytes())
    data[20] = 3
    file.write_bytes(data)
    finding = inspect_data_file(file, distrust=False)
    assert finding.verdict is Verdict.NEWER
    assert "format 3" in finding.reason


@pytest.mark.parametrize("junk", [b"x", b"SQLite format 3\0" * 1_000, bytes(20_000)])
def test_a_file_of_something_else_is_damage(tmp_path, junk):
    file = tmp_path / "data.mdb"
    file.write_bytes(junk)
    assert inspect_data_file(file, distrust=False).verdict is Verdict.DAMAGED


def test_every_page_of_a_sound_file_is_tiled(file):
    assert problems_in(file) == untiled_page_in(file, PAGE) == ""


@pytest.mark.parametrize(
    ("at", "bit"),
    [(12, 1), (14, 8), (15, 1), (16, 1), (16, 8)],
    ids=["odd lower", "upper", "upper's high byte", "odd place", "place"],
)
def test_nodes_out_of_place_are_seen(file, at, bit):
    data = bytearray(file.read_bytes())
    start = tree_page(data)
    assert is_tiled(bytes(data[start : start + PAGE]))
    data[start + at] ^= bit
    assert not is_tiled(bytes(data[start : start + PAGE]))
    file.write_bytes(data)
    assert problems_in(file)


def test_a_node_of_another_size_is_seen(file):
    data = bytearray(file.read_bytes())
    start = tree_page(data)
    node = start + int.from_bytes(data[start + 16 : start + 18], "little")
    for at in (0, 6):  # the size of the data, of the key
        data[node + at] ^= 32
        assert not is_tiled(bytes(data[start : start + PAGE]))
        data[node + at] ^= 32
    assert is_tiled(bytes(data[start : start + PAGE]))
