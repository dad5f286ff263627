"""Faults as inputs, in processes of their own: whatever happens, no wrong byte and no crash."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cache_helpers import key, pairs, value
from lmdb.verify import verify

from emberd.cache.disk import LmdbOptions, LmdbTier

CHILD = Path(__file__).with_name("cache_child.py")
MIB = 1 << 20


def child(*arguments: object) -> list[list[str]]:
    """The lines, split into words, of a child that must end well."""
    done = subprocess.run(
        [sys.executable, CHILD, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, (done.stdout.splitlines()[-2:], done.stderr)
    return [line.split() for line in done.stdout.splitlines()]


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "cache"
    tier = LmdbTier.open(folder, LmdbOptions(budget_bytes=2 * MIB))
    tier.set_many("n", pairs(range(150)))
    tier.set_many("m", pairs(range(20), 5_000))
    tier.delete_many("m", [key(name) for name in range(10)])
    tier.close()
    return folder


def test_kill_9_loses_nothing_that_was_written(tmp_path):
    chance = random.Random(5)
    for attempt in range(20):
        with subprocess.Popen(
            [sys.executable, CHILD, "write_for_ever", tmp_path, str(attempt)],
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout
            last = -1
            for _ in range(chance.randrange(1, 25)):
                last = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read()
        last = int(rest.split()[-1]) if rest.split() and rest.endswith("\n") else last
        assert verify(str(tmp_path / "lmdb")) == []
        # Room for all: on a busy machine the child writes a good deal before it is killed.
        tier = LmdbTier.open(tmp_path, LmdbOptions(budget_bytes=64 * MIB))
        assert tier.stats().message == ""
        for batch in range(last + 3):
            names = [(str(attempt), batch, number) for number in range(37)]
            found = tier.get_many("n", [key(name) for name in names])
            for name, each in zip(names, found, strict=True):
                assert each == value(name) or (each is None and batch > last)
        tier.close()


def test_a_full_disk_makes_it_read_only_until_there_is_room(tmp_path):
    lines = child("fill_a_full_disk", tmp_path)
    assert [line[0] for line in lines] == ["refused", "state", "kept", "paused", "state"]
    assert "still served" in " ".join(lines[0])
    assert lines[1][1] == "read_only"
    assert "Free some disk space" in " ".join(lines[1])
    assert lines[2] == ["kept", "True"]
    assert lines[4] == ["state", "ok", "True"]
    assert verify(str(tmp_path / "lmdb")) == []


def test_a_forked_child_cannot_use_it_and_does_no_harm(tmp_path):
    lines = child("fork", tmp_path)
    assert [line[0] for line in lines] == ["child"] * 3 + ["parent"]
    assert "forked." in lines[0]
    assert lines[-1] == ["parent", "True"]
    assert verify(str(tmp_path / "lmdb")) == []


@pytest.mark.parametrize("damage", ["truncate", "flip"])
def test_a_damaged_file_gives_right_answers_or_misses(folder, damage):
    lines = child(damage, folder)
    reads = [line for line in lines if line[0] == "read"]
    assert len(reads) == len(lines) / 2 > 100
    assert {line[3] for line in reads} == {"0"}  # wrong
    assert {line[5] for line in reads} == {"0"}  # lost after writing anew
    if damage == "flip":
        assert any(line[1] == "149" for line in reads)  # one row lost, the others served
