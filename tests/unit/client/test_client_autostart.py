"""Starting the daemon where none runs, with a stand-in for the daemon's command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from client_daemon import TestDaemon

from emberd.client import Client, Launcher
from emberd.errors import DaemonUnreachableError
from emberd.paths import Paths

MakeClient = Callable[..., Any]
InThread = Callable[[Callable[[], Any]], Any]

STAND_IN = Path(__file__).with_name("client_autostarted.py")


@pytest.fixture
def home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("EMBERD_HOME", str(folder))
    yield folder
    for pid in starts(folder):  # whatever a failed test has left
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def starts(home: Path) -> list[int]:
    """The pids of the stand-ins that were started."""
    if not (home / "starts").exists():
        return []
    return [int(line.split()[0]) for line in (home / "starts").read_text().splitlines()]


def launcher(mode: str, timeout_s: float = 30) -> Launcher:
    command = (sys.executable, str(STAND_IN), mode)
    return Launcher(Paths.from_environment(), command=command, timeout_s=timeout_s)


def test_a_client_starts_the_daemon_and_is_served(home: Path, make_client: MakeClient) -> None:
    client = make_client(autostart=launcher("serve"))
    assert client.ping() == "pong"
    assert client.embed(["a"]).shape == (1, 8)
    assert len(starts(home)) == 1
    client.shutdown()


def test_the_daemon_outlives_its_starter_as_nobodys_child(
    home: Path, make_client: MakeClient
) -> None:
    client = make_client(autostart=launcher("serve"))
    client.ping()
    _, folder, is_orphan = (home / "starts").read_text().split()
    assert (folder, is_orphan) == ("/", "True")
    with pytest.raises(ChildProcessError):
        os.waitpid(starts(home)[0], os.WNOHANG)
    client.shutdown()


def test_clients_that_come_at_once_start_one_daemon_and_all_are_served(
    home: Path, make_client: MakeClient, in_thread: InThread
) -> None:
    clients = [make_client(autostart=launcher("serve")) for _ in range(4)]
    jobs = [in_thread(client.ping) for client in clients]
    assert [job.result() for job in jobs] == ["pong"] * 4
    assert len(starts(home)) == 1
    clients[0].shutdown()


def test_a_daemon_that_runs_is_not_started_again(home: Path, make_client: MakeClient) -> None:
    first = make_client(autostart=launcher("serve"))
    first.ping()
    assert make_client(autostart=launcher("fail")).ping() == "pong"
    assert len(starts(home)) == 1
    first.shutdown()


def test_the_next_call_after_a_shutdown_starts_a_daemon_again(
    home: Path, make_client: MakeClient
) -> None:
    client = make_client(autostart=launcher("serve"))
    client.ping()
    client.shutdown()
    while (home / "run" / "emberd.sock").exists():
        pass
    assert client.embed("a").shape == (8,)
    assert len(starts(home)) == 2
    client.shutdown()


def test_a_daemon_started_by_someone_else_meanwhile_is_as_good(
    home: Path, make_client: MakeClient, in_thread: InThread
) -> None:
    """It holds its lock, so ours reports ALREADY_RUNNING, and listens a moment later."""
    daemon = TestDaemon(home)
    daemon.path = home / "run" / "emberd.sock"
    job = in_thread(make_client(autostart=launcher("already")).ping)
    while not starts(home):
        pass
    daemon.start()
    assert job.result() == "pong"
    daemon.stop()


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("fail", "engine.threads is wrong"),
        ("silent", "said nothing"),
        ("noise", "said nothing"),
    ],
)
def test_a_daemon_that_cannot_start_says_why_and_where_to_look(
    home: Path, make_client: MakeClient, mode: str, words: str
) -> None:
    with pytest.raises(DaemonUnreachableError, match=words) as caught:
        make_client(autostart=launcher(mode)).ping()
    assert str(home / "logs" / "emberd.log") in caught.value.message
    assert "emberd up --foreground" in caught.value.message
    assert caught.value.details["command"].endswith(f"{STAND_IN} {mode}")


def test_a_daemon_that_hangs_at_its_start_is_not_waited_for_for_ever(
    home: Path, make_client: MakeClient
) -> None:
    with pytest.raises(DaemonUnreachableError, match=r"0\.2 s"):
        make_client(autostart=launcher("hang", timeout_s=0.2)).ping()


def test_a_command_that_does_not_exist_is_said_so(home: Path, make_client: MakeClient) -> None:
    lost = Launcher(Paths.from_environment(), command=("/nowhere/emberd",))
    with pytest.raises(DaemonUnreachableError, match="could not be started"):
        make_client(autostart=lost).ping()


@pytest.mark.parametrize("socket", ["elsewhere.sock", "tcp://127.0.0.1:1"])
def test_a_daemon_at_another_address_is_never_started(
    home: Path, make_client: MakeClient, socket: str
) -> None:
    with pytest.raises(DaemonUnreachableError):
        make_client(socket).ping()
    assert starts(home) == []


def test_without_autostart_nothing_is_started(home: Path, make_client: MakeClient) -> None:
    with pytest.raises(DaemonUnreachableError, match="emberd up"):
        make_client(autostart=False).ping()
    assert not (home / "run").exists()


def test_a_relative_home_is_the_same_folder_for_the_daemon(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    monkeypatch.setenv("EMBERD_HOME", folder.name)
    with Client(autostart=launcher("serve")) as client:
        assert client.ping() == "pong"
        client.shutdown()


def test_the_daemons_own_command_is_the_default() -> None:
    command = Launcher(Paths.from_environment({"EMBERD_HOME": "/x"})).command
    assert command == (sys.executable, "-m", "emberd.server")


def test_importing_the_client_imports_nothing_heavy() -> None:
    code = (
        "import sys, emberd.client; emberd.client.Client('/nowhere');"
        "print([name for name in ('numpy', 'asyncio', 'subprocess', 'onnxruntime', 'platformdirs')"
        " if name in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "EMBERD_HOME": "/nowhere"},
    )
    assert found.stdout.strip() == "[]"
