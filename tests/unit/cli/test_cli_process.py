"""Stopping means waiting for the end of the process, with a bound; real processes throughout."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from emberd.cli import process
from emberd.cli.process import running_pid, send_signal, stop, wait_gone
from emberd.errors import RequestTimeoutError
from emberd.paths import Paths

LOCK_AND_WAIT = """
import signal, sys
from pathlib import Path
from emberd.server.lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
signals = {signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
print("ready", flush=True)
for _ in range(int(sys.argv[2])):
    signal.sigwait(signals)
"""


@contextmanager
def holder(paths: Paths, signals: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds the lock and ends after so many SIGTERMs."""
    paths.runtime.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-c", LOCK_AND_WAIT, str(paths.runtime_lock), str(signals)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as held:
        try:
            assert held.stdout is not None
            assert held.stdout.readline() == b"ready\n"
            yield held
        finally:
            held.kill()


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths.from_environment({"EMBERD_HOME": str(tmp_path)})


def test_who_holds_the_lock_runs(paths: Paths) -> None:
    assert running_pid(paths) is None
    with holder(paths, 1) as held:
        assert running_pid(paths) == held.pid
        stop(held.pid, drain_s=30, is_now=False)
    assert running_pid(paths) is None


def test_a_process_that_was_killed_runs_no_more(paths: Paths) -> None:
    with holder(paths, 1) as held:
        held.kill()
        assert wait_gone(held.pid, 30)
        assert running_pid(paths) is None


def test_now_sends_the_second_signal(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_SECOND_SIGNAL_S", 0.01)
    with holder(paths, 2) as held:
        stop(held.pid, drain_s=0, is_now=True)
        assert wait_gone(held.pid, 0)


def test_waiting_has_a_bound_and_says_what_to_do(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_NOW_S", 0.01)
    with holder(paths, 9) as held:
        with pytest.raises(RequestTimeoutError, match="emberd down --now"):
            stop(held.pid, drain_s=0, is_now=False)
        assert running_pid(paths) == held.pid


def test_a_process_that_has_gone_needs_no_waiting(paths: Paths) -> None:
    with holder(paths, 1) as held:
        pid = held.pid
    assert wait_gone(pid, 0)
    send_signal(pid)


def test_a_pid_is_awaited_where_the_system_has_no_pidfd(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    with holder(paths, 1) as held:
        monkeypatch.delattr("os.pidfd_open", raising=False)
        assert not wait_gone(held.pid, 0.01)
        send_signal(held.pid)
        assert wait_gone(held.pid, 30)


def test_down_where_nothing_runs_says_so(run_cli: Any) -> None:
    outcome = run_cli("down")
    assert (outcome.code, outcome.out) == (0, "emberd is not running\n")
    assert run_cli("down", "--json").json == {"state": "stopped", "was_running": False, "pid": None}


@pytest.mark.parametrize("name", ["up", "down", "restart"])
def test_another_daemons_socket_is_not_started_or_stopped(run_cli: Any, name: str) -> None:
    outcome = run_cli(name, "--socket", "/elsewhere/emberd.sock")
    assert outcome.code == 2
    assert "EMBERD_HOME" in outcome.err
