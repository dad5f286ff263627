from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from emberd.errors import DaemonAlreadyRunningError, StorageError
from emberd.server.lock import FolderLock, holder_of

HOLDER = """
import sys
from pathlib import Path
from emberd.server.lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other_process(tmp_path: Path):  # type: ignore[no-untyped-def]
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_process_is_refused_and_told_who_holds_the_lock(
    tmp_path: Path, other_process: subprocess.Popen[bytes]
) -> None:
    with pytest.raises(DaemonAlreadyRunningError) as caught:
        FolderLock(tmp_path / "lock")
    assert caught.value.details["pid"] == other_process.pid
    assert holder_of(tmp_path / "lock") == other_process.pid


def test_a_killed_holder_leaves_the_lock_free(
    tmp_path: Path, other_process: subprocess.Popen[bytes]
) -> None:
    other_process.kill()
    other_process.wait()
    assert holder_of(tmp_path / "lock") is None
    FolderLock(tmp_path / "lock").release()


def test_releasing_twice_is_harmless_and_frees_the_lock(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path / "lock")
    lock.release()
    lock.release()
    FolderLock(tmp_path / "lock").release()


def test_nobody_holds_a_lock_that_is_not_there(tmp_path: Path) -> None:
    assert holder_of(tmp_path / "absent") is None


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="Cannot make the lock file"):
        FolderLock(tmp_path / "absent" / "lock")
