"""The small parts of the persistent tier: plan, gate, touches, slides, pauses, file systems."""

from __future__ import annotations

import threading
from pathlib import PurePosixPath

import pytest
from cache_helpers import Clock
from hypothesis import given
from hypothesis import strategies as st

from emberd.cache.disk.file_systems import (
    file_system_of,
    is_network,
    refuse_network_file_system,
)
from emberd.cache.disk.gate import Gate
from emberd.cache.disk.plan import Plan, map_bytes
from emberd.cache.disk.read_only import ReadOnly
from emberd.cache.disk.slides import Slides
from emberd.cache.disk.touches import Touches
from emberd.errors import CacheUnavailableError

MIB = 1 << 20


@given(st.integers(1, 1 << 20), st.sampled_from([4_096, 16_384, 65_536]))
def test_a_plan_stays_within_its_budget(budget_mib, page_bytes):
    budget = budget_mib * MIB
    plan = Plan(budget, page_bytes)
    assert 0 < plan.target_bytes < budget < map_bytes(budget) <= budget + max(budget // 16, MIB)
    assert map_bytes(budget) % page_bytes == 0
    assert 16 <= plan.rows <= 512
    for _ in range(100):
        plan.tighten()
    assert plan.target_bytes >= budget // 4


@given(
    st.lists(st.integers(0, 40_000), max_size=40),
    st.sampled_from([1, 16, 4_096]),
)
def test_groups_hold_every_row_that_fits_in_order_and_none_is_too_large(sizes, budget_mib):
    plan = Plan(budget_mib * MIB, 4_096)
    items = [(bytes(16), bytes(size)) for size in sizes]
    groups = list(plan.groups(items))
    fitting = [item for item in items if plan.row_bytes(len(item[1])) <= plan.group_bytes]
    assert [item for group in groups for item in group] == fitting
    for group in groups:
        assert 0 < len(group) <= plan.rows
        assert sum(plan.row_bytes(len(value)) for _, value in group) <= plan.group_bytes


def test_row_sizes_are_those_measured():
    plan = Plan(64 * MIB, 4_096)
    assert 819 <= plan.row_bytes(772) <= 890
    assert 2_048 <= plan.row_bytes(1_540) <= 2_120
    assert 4_096 <= plan.row_bytes(2_052) <= 4_200


def test_a_gate_lets_many_in_or_one_alone():
    gate = Gate()
    inside, leave, alone = threading.Barrier(3), threading.Event(), threading.Event()

    def use() -> None:
        with gate.shared():
            inside.wait(30)
            leave.wait(30)

    def take() -> None:
        with gate.alone():
            alone.set()

    users = [threading.Thread(target=use) for _ in range(2)]
    for user in users:
        user.start()
    inside.wait(30)
    taker = threading.Thread(target=take)
    taker.start()
    assert not alone.is_set()
    leave.set()
    assert alone.wait(30)
    for thread in (*users, taker):
        thread.join(30)
    with gate.shared(), gate.shared():
        pass


def test_a_gate_opens_again_after_an_error():
    gate = Gate()
    with pytest.raises(ZeroDivisionError), gate.shared():
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), gate.alone():
        raise ZeroDivisionError
    with gate.alone():
        pass


@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 2**32 - 1)), max_size=40))
def test_touches_remember_the_last_hit_of_every_row_until_the_tail_has_passed(marks):
    touches = Touches()
    last: dict[int, int] = {}
    for rowid, now in marks:
        touches.mark([rowid], now)
        last[rowid] = now
    assert all(touches.last(rowid) == now for rowid, now in last.items())
    touches.drop_below(8_200)
    assert all(touches.last(rowid) == now for rowid, now in last.items() if rowid >= 8_200)
    assert all(touches.last(rowid) == 0 for rowid in last if rowid < 4_096)


def test_slides_are_noted_once_they_are_worth_a_write():
    slides = Slides(80.0)
    slides.note("a", [(1, 100), (2, 95)], 105.0)
    slides.note("a", [(2, 95)], 120.0)
    slides.note("b", [(7, 0)], 120.0)
    assert slides.take() == {"a": [2], "b": [7]}
    assert slides.take() == {}


def test_refused_writes_pause_longer_and_longer_until_one_succeeds():
    clock = Clock()
    pause = ReadOnly(clock)
    pause.check()
    for pause_s in (5, 10, 20, 40, 60, 60):
        pause.enter("No space left on device")
        with pytest.raises(CacheUnavailableError, match="No space left on device"):
            pause.check()
        clock.advance(pause_s - 0.1)
        with pytest.raises(CacheUnavailableError):
            pause.check()
        clock.advance(0.1)
        pause.check()
        assert pause
    pause.leave()
    assert not pause


@pytest.mark.parametrize(
    "kind",
    ["nfs", "nfs4", "cifs", "smb3", "SMBFS", "fuse.sshfs", "fuse.rclone", "ceph", "afpfs"],
)
def test_network_file_systems_are_known(kind):
    assert is_network(kind)


@pytest.mark.parametrize(
    "kind",
    ["ext4", "xfs", "btrfs", "zfs", "overlay", "tmpfs", "apfs", "9p", "virtiofs", "fuseblk",
     "fuse.fuse-overlayfs", "fuse.mergerfs", ""],
)  # fmt: skip
def test_local_file_systems_are_welcome(kind):
    assert not is_network(kind)


def test_the_deepest_mount_counts_and_of_two_on_one_point_the_later():
    mounts = [("/", "ext4"), ("/home", "nfs4"), ("/home/me", "ext4"), ("/home/me", "tmpfs")]
    assert file_system_of(PurePosixPath("/home/me/cache"), mounts) == "tmpfs"
    assert file_system_of(PurePosixPath("/home/you"), mounts) == "nfs4"
    assert file_system_of(PurePosixPath("/homework"), mounts) == "ext4"
    assert file_system_of(PurePosixPath("/x"), []) == ""


def test_a_folder_on_a_network_is_refused_with_what_to_do(tmp_path, monkeypatch):
    refuse_network_file_system(tmp_path)

    class Mount:
        mountpoint, fstype = "/", "nfs4"

    monkeypatch.setattr("psutil.disk_partitions", lambda **_: [Mount])
    with pytest.raises(CacheUnavailableError, match=r"nfs4.*EMBERD_HOME"):
        refuse_network_file_system(tmp_path)
