"""Peers that misbehave, and one that knows nothing of emberd."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import msgpack
import pytest
from daemon_process import DaemonProcess, MakeDaemon

from emberd.client import Client

NESTED_ARRAYS = b"\xdd\x00\x02\x00\x00" * 1100
ENDLESS_STRING = b"\x94\x00\x01\xdb\xff\xff\xff\xff"


def connect(daemon: DaemonProcess) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20)
    sock.connect(daemon.socket)
    return sock


def read_all(sock: socket.socket) -> list[Any]:
    """Everything until the daemon hangs up."""
    unpacker = msgpack.Unpacker()
    while data := sock.recv(65_536):
        unpacker.feed(data)
    return list(unpacker)


def read_one(sock: socket.socket) -> Any:
    unpacker = msgpack.Unpacker()
    while True:
        unpacker.feed(sock.recv(65_536))
        for message in unpacker:
            return message


def assert_others_are_served(daemon: DaemonProcess) -> None:
    with daemon.client() as client:
        assert client.embed("still served").shape == (384,)


@pytest.mark.parametrize(
    "data",
    [
        b"\xc1",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        NESTED_ARRAYS,
        ENDLESS_STRING,
        msgpack.packb([9, 9, 9]),
        msgpack.packb({"texts": ["a"]}),
        bytes(range(256)) * 16,
    ],
    ids=["reserved", "http", "nested-arrays", "endless-string", "no-type", "a-map", "garbage"],
)
def test_bytes_that_are_no_rpc_end_their_own_connection_alone(
    daemon: DaemonProcess, data: bytes
) -> None:
    with daemon.client() as neighbour:
        neighbour.ping()
        with connect(daemon) as sock:
            sock.sendall(data)
            last = read_all(sock)[-1]
        assert last[0] in (1, 2)
        assert neighbour.ping() == "pong"


def test_a_frame_over_the_cap_is_refused(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(EMBERD_LIMITS__FRAME_MIB="1")
    daemon.start()
    with connect(daemon) as sock:
        sock.sendall(msgpack.packb([0, 1, "embed", [{"texts": ["x"]}]])[:-3])
        sock.sendall(b"\xdb" + (3 << 20).to_bytes(4, "big"))
        assert "FRAME_TOO_LARGE" in str(read_all(sock)[-1])
    assert_others_are_served(daemon)


def test_a_client_that_vanishes_takes_its_work_with_it(daemon: DaemonProcess) -> None:
    texts = [f"{i} " + "a long text that takes a while " * 20 for i in range(3000)]
    sock = connect(daemon)
    sock.sendall(msgpack.packb([0, 1, "embed", [{"texts": texts}]]))
    with daemon.client() as watcher:
        while watcher.call("stats", fresh=True)["engine"]["queue_texts"] == 0:
            pass
        sock.close()
        while watcher.call("stats", fresh=True)["engine"]["queue_texts"]:
            pass  # far sooner than 3,000 long texts could be computed
        computed = watcher.call("stats", fresh=True)["engine"]["batches"]["texts"]
    assert computed < len(texts)


def test_a_reader_that_never_reads_is_cut_off(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(EMBERD_LIMITS__WRITE_S="0.5")
    daemon.start()
    with daemon.client() as client:
        client.embed([f"text {i}" for i in range(256)])
        texts = [f"text {i}" for i in range(256)]
        with connect(daemon) as lazy:
            requests = [[0, msgid, "embed", [{"texts": texts}]] for msgid in range(20)]
            # In one piece: who is slow to send may be cut off before the last is sent.
            lazy.sendall(b"".join(map(msgpack.packb, requests)))
            while not any(
                event["event"] == "client.cut_off"
                for event in client.call("stats", fresh=True)["events"]
            ):
                pass
        assert client.embed("served meanwhile").shape == (384,)


def test_text_that_is_not_utf8_is_refused_by_name_and_the_connection_lives(
    daemon: DaemonProcess,
) -> None:
    bad = msgpack.packb("good") + b"\xa2\xff\xfe"
    request = b"\x94\x00\x07" + msgpack.packb("embed") + b"\x91\x81" + msgpack.packb("texts")
    with connect(daemon) as sock:
        sock.sendall(request + b"\x92" + bad)
        kind, msgid, error, _ = read_one(sock)
        assert (kind, msgid) == (1, 7)
        assert error.startswith("INVALID_PARAMS: texts[1]")
        sock.sendall(msgpack.packb([0, 8, "ping", []]))
        assert read_one(sock) == [1, 8, None, "pong"]


def test_requests_in_flight_are_answered_as_they_finish(daemon: DaemonProcess) -> None:
    bulk = [f"{i} " + "some more words " * 30 for i in range(300)]
    with connect(daemon) as sock:
        sock.sendall(
            msgpack.packb([0, 1, "embed", [{"texts": bulk}]]) + msgpack.packb([0, 2, "ping", []])
        )
        assert read_one(sock) == [1, 2, None, "pong"]


def test_a_cancelled_request_is_answered_so(daemon: DaemonProcess) -> None:
    bulk = [f"{i} " + "some more words " * 30 for i in range(3000)]
    with connect(daemon) as sock:
        sock.sendall(msgpack.packb([0, 1, "embed", [{"texts": bulk}]]))
        sock.sendall(msgpack.packb([2, "cancel", [1]]))
        kind, msgid, error, _ = read_one(sock)
        assert (kind, msgid) == (1, 1)
        assert error.startswith("CANCELLED")


def test_hundreds_of_requests_at_once_are_all_answered(daemon: DaemonProcess) -> None:
    with connect(daemon) as sock:
        sock.sendall(
            b"".join(
                msgpack.packb([0, i, "embed", [{"texts": [f"number {i}"]}]]) for i in range(500)
            )
        )
        unpacker = msgpack.Unpacker()
        answered: set[int] = set()
        while len(answered) < 500:
            unpacker.feed(sock.recv(1 << 20))
            for _, msgid, error, result in unpacker:
                assert error is None
                assert result["count"] == 1
                answered.add(msgid)


def test_subscribers_get_snapshots_until_they_end_it(daemon: DaemonProcess) -> None:
    with connect(daemon) as sock:
        sock.sendall(msgpack.packb([0, 1, "stats.subscribe", [{"interval_s": 1}]]))
        unpacker = msgpack.Unpacker()
        sequences: list[int] = []
        while len(sequences) < 3:
            unpacker.feed(sock.recv(1 << 20))
            for message in unpacker:
                if message[0] == 2:
                    assert message[1] == "stats"
                    sequences.append(message[2][0]["sequence"])
        assert sequences == sorted(set(sequences))


def test_an_async_client_follows_the_statistics(daemon: DaemonProcess) -> None:
    with Client(daemon.socket, autostart=False) as client:
        snapshots = client.subscribe(1.0)
        first, second = next(snapshots), next(snapshots)
        assert second.sequence > first.sequence
        assert second.daemon.pid == daemon.pid


@pytest.mark.skipif(shutil.which("nvim") is None, reason="Neovim is not installed")
def test_neovim_speaks_to_the_daemon_as_to_any_rpc_peer(
    daemon: DaemonProcess, tmp_path: Path
) -> None:
    script = tmp_path / "ask.vim"
    script.write_text(
        f"""
let ch = sockconnect('pipe', '{daemon.socket}', {{'rpc': v:true}})
let lines = [rpcrequest(ch, 'ping')]
let reply = rpcrequest(ch, 'embed', {{'texts': ['hello', 'world'], 'format': 'list'}})
call add(lines, reply.dim . ' ' . len(reply.vectors) . ' ' . len(reply.vectors[0]))
let positional = rpcrequest(ch, 'embed', ['hello'])
call add(lines, string(positional.hits))
try
  call rpcrequest(ch, 'embed', {{'texts': []}})
catch
  call add(lines, v:exception)
endtry
call writefile(lines, '{tmp_path}/answers')
qa!
"""
    )
    subprocess.run(
        ["nvim", "--headless", "-u", "NONE", "-i", "NONE", "-S", str(script)],
        check=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    pong, shape, hits, *error = (tmp_path / "answers").read_text().splitlines()
    assert pong == "pong"
    assert shape == "384 2 384"
    assert hits == "{'memory': 1}"
    assert any("INVALID_PARAMS: texts" in line for line in error)
