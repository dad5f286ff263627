"""The tier by itself: the contract of every tier, and what this one promises beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from emberd.testing import CacheTierContract

from emberd_filetier import FileTier
from emberd_filetier.records import RecordFile

BUDGET_BYTES = 16 << 20
KEYS = [number.to_bytes(16, "big") for number in range(1_000)]


class TestFileTier(CacheTierContract):
    @pytest.fixture
    def tier(self, tmp_path: Path) -> Iterator[FileTier]:
        tier = FileTier(tmp_path / "vectors.log", BUDGET_BYTES)
        yield tier
        tier.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vectors.log"


def test_what_was_set_and_forgotten_is_so_after_a_restart(path: Path) -> None:
    tier = FileTier(path, BUDGET_BYTES)
    tier.set_many("default", [(key, b"old" + key) for key in KEYS[:4]])
    tier.set_many("default", [(KEYS[0], b"replaced")])
    tier.delete_many("default", [KEYS[1]])
    tier.close()
    tier = FileTier(path, BUDGET_BYTES)
    assert tier.get_many("default", KEYS[:3]) == [b"replaced", None, b"old" + KEYS[2]]
    tier.close()


def test_a_record_that_was_cut_off_is_taken_away(path: Path) -> None:
    tier = FileTier(path, BUDGET_BYTES)
    tier.set_many("default", [(KEYS[0], b"whole"), (KEYS[1], b"cut off")])
    tier.close()
    path.write_bytes(path.read_bytes()[:-3])
    tier = FileTier(path, BUDGET_BYTES)
    assert tier.get_many("default", KEYS[:2]) == [b"whole", None]
    tier.set_many("default", [(KEYS[1], b"again")])
    assert tier.get_many("default", KEYS[:2]) == [b"whole", b"again"]
    tier.close()


@pytest.mark.parametrize("is_open", [True, False], ids=["while open", "before opening"])
def test_a_flipped_bit_is_a_miss_and_the_others_still_hit(path: Path, is_open: bool) -> None:
    tier = FileTier(path, BUDGET_BYTES)
    tier.set_many("default", [(key, b"value" * 20) for key in KEYS[:3]])
    if not is_open:
        tier.close()
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\x00")
    if not is_open:
        tier = FileTier(path, BUDGET_BYTES)
    assert tier.get_many("default", KEYS[:3]) == [b"value" * 20, None, b"value" * 20]
    assert tier.stats().corrupt == 1
    tier.close()


def test_the_file_stays_within_its_budget_and_keeps_the_newest(path: Path) -> None:
    tier = FileTier(path, 1 << 20)
    for key in KEYS:
        tier.set_many("default", [(key, bytes(10_000))])
        assert path.stat().st_size <= 1 << 20
    assert tier.get_many("default", [KEYS[-1], KEYS[0]]) == [bytes(10_000), None]
    assert tier.stats().evictions > 0
    tier.close()


def test_the_dead_half_of_the_file_is_given_back(path: Path) -> None:
    tier = FileTier(path, BUDGET_BYTES)
    for _ in range(5):
        tier.set_many("default", [(key, bytes(1_000)) for key in KEYS[:100]])
    assert path.stat().st_size < 3 * 100 * 1_000
    assert tier.statistics()["compactions"]
    assert None not in tier.get_many("default", KEYS[:100])
    tier.close()
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_file_of_another_kind_is_left_alone(path: Path) -> None:
    path.write_bytes(b"somebody else's work")
    with pytest.raises(ValueError, match="move it away"):
        FileTier(path, BUDGET_BYTES)
    assert path.read_bytes() == b"somebody else's work"


def test_a_compaction_that_fails_leaves_the_old_file_serving(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(file: RecordFile, path: Path) -> None:
        raise OSError("no space left on device")

    tier = FileTier(path, BUDGET_BYTES)
    tier.set_many("default", [(key, bytes(1_000)) for key in KEYS[:100]])
    with monkeypatch.context() as patch:
        patch.setattr(RecordFile, "replace", fail)
        with pytest.raises(OSError, match="no space"):
            tier.delete_many("default", KEYS[:80])
    assert tier.get_many("default", [KEYS[0], KEYS[99]]) == [None, bytes(1_000)]
    tier.delete_many("default", KEYS[80:81])
    assert tier.statistics()["compactions"] == 1
    tier.close()
