from __future__ import annotations

import json
import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from emberd.config import TcpSettings
from emberd.errors import InvalidConfigError, OverloadedError, StorageError
from emberd.server.listener import bind_tcp, bind_unix, inherited_socket
from emberd.server.peer import is_same_user, peer_of, process_name
from emberd.server.ready import ReadyPipe, notify_systemd


@pytest.fixture
def short_folder() -> Iterator[Path]:
    # pytest's own folders can be longer than a socket's path may be.
    with tempfile.TemporaryDirectory(prefix="emberd") as folder:
        yield Path(folder)


def test_the_socket_is_for_its_owner_alone(short_folder: Path) -> None:
    with bind_unix(short_folder / "s"):
        mode = (short_folder / "s").stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


def test_a_dead_daemons_socket_is_replaced(short_folder: Path) -> None:
    bind_unix(short_folder / "s").close()
    with bind_unix(short_folder / "s"), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(short_folder / "s"))


def test_a_folder_without_room_for_a_socket_is_told(short_folder: Path) -> None:
    with pytest.raises(StorageError, match="Cannot listen on"):
        bind_unix(short_folder / "absent" / "s")


def test_the_kernel_names_the_peer(short_folder: Path) -> None:
    with bind_unix(short_folder / "s") as server, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(short_folder / "s"))
        server.setblocking(True)
        connection, _ = server.accept()
        with connection:
            peer = peer_of(connection)
    assert peer == (os.getpid(), os.getuid())
    assert is_same_user(peer)
    assert process_name(os.getpid())


def test_an_unknown_peer_and_another_user_are_strangers() -> None:
    assert not is_same_user(None)
    assert not is_same_user((1, os.getuid() + 12345))


def test_tcp_is_off_without_a_port_and_refused_without_a_token() -> None:
    assert bind_tcp(TcpSettings()) is None
    with pytest.raises(InvalidConfigError, match=r"tcp\.token is empty"):
        bind_tcp(TcpSettings(port=1))


def test_a_socket_is_inherited_only_by_the_process_it_was_meant_for() -> None:
    assert inherited_socket({}) is None
    assert inherited_socket({"LISTEN_PID": str(os.getpid() + 1), "LISTEN_FDS": "1"}) is None
    assert inherited_socket({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0"}) is None


def test_the_starter_reads_one_line_and_then_the_end() -> None:
    reading, writing = os.pipe()
    ReadyPipe(writing).ready("/run/emberd.sock")
    with os.fdopen(reading) as pipe:
        lines = pipe.readlines()
    assert [json.loads(line)["state"] for line in lines] == ["ready"]
    assert json.loads(lines[0])["pid"] == os.getpid()


def test_the_starter_is_told_why_the_daemon_cannot_start() -> None:
    reading, writing = os.pipe()
    ready = ReadyPipe(writing)
    ready.failed(OverloadedError("No room."))
    ready.ready("/late")  # a second message is not sent
    with os.fdopen(reading) as pipe:
        assert [json.loads(line) for line in pipe] == [
            {"state": "failed", "code": "OVERLOADED", "message": "No room."}
        ]


def test_a_starter_that_went_away_does_not_hurt() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ReadyPipe(writing).ready("/run/emberd.sock")


def test_systemd_is_told_through_its_socket(short_folder: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(short_folder / "n"))
        notify_systemd("READY=1", {"NOTIFY_SOCKET": str(short_folder / "n")})
        assert listener.recv(64) == b"READY=1"
    notify_systemd("READY=1", {})
