"""The process: one a folder, an orderly end, nothing lost by a kill."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading

import numpy as np
import pytest
from daemon_process import DaemonProcess, MakeDaemon

from emberd.client import Client
from emberd.errors import (
    ConnectionLostError,
    EmberdError,
    ShuttingDownError,
    UnauthenticatedError,
)


def test_two_daemons_started_at_once_leave_one_that_serves(make_daemon: MakeDaemon) -> None:
    first = make_daemon()
    second = DaemonProcess(first.home)
    answers: list[dict[str, str]] = []
    threads = [
        threading.Thread(target=lambda each=each: answers.append(each.start()))
        for each in (first, second)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer["state"] for answer in answers) == ["failed", "ready"]
    (failed,) = (answer for answer in answers if answer["state"] == "failed")
    assert failed["code"] == "ALREADY_RUNNING"
    with first.client() as client:
        assert client.ping() == "pong"
    for daemon in (first, second):
        daemon.stop()


def test_its_files_are_for_its_owner_alone(daemon: DaemonProcess) -> None:
    assert stat.S_IMODE(daemon.paths.runtime.stat().st_mode) == 0o700
    assert stat.S_IMODE(daemon.paths.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(daemon.paths.data.stat().st_mode) == 0o700


def test_sigterm_finishes_what_is_open_and_leaves_nothing_behind(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(EMBERD_DAEMON__DRAIN_S="60")
    daemon.start()
    texts = [f"{i} " + "words to keep it busy for a while " * 10 for i in range(200)]
    answers: list[object] = []

    def ask() -> None:
        with daemon.client(retries=0) as client:
            client.ping()
            asked.set()
            answers.append(client.embed(texts).shape)

    asked = threading.Event()
    thread = threading.Thread(target=ask)
    thread.start()
    asked.wait(10)
    with daemon.client() as client:
        while client.call("stats", fresh=True)["requests"]["in_flight"] < 2:
            pass  # `stats` itself is one; the other is the bulk request
    assert daemon.stop() == 0
    thread.join(30)
    assert answers == [(200, 384)]
    assert not daemon.paths.socket.exists()
    assert "daemon.stopped" in daemon.log()


def test_what_cannot_be_finished_in_time_is_answered_so(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(EMBERD_DAEMON__DRAIN_S="0.1")
    daemon.start()
    failures: list[EmberdError] = []

    def ask() -> None:
        with daemon.client(retries=0) as client:
            try:
                client.embed([f"{i} " + "a long text that takes a while " * 20 for i in range(500)])
            except EmberdError as exc:
                failures.append(exc)

    thread = threading.Thread(target=ask)
    thread.start()
    with daemon.client() as watcher:
        while watcher.call("stats", fresh=True)["engine"]["queue_texts"] == 0:
            pass
    assert daemon.stop() == 0
    thread.join(30)
    assert isinstance(failures[0], ShuttingDownError)


def test_shutdown_by_the_socket_is_as_orderly(daemon: DaemonProcess) -> None:
    with daemon.client() as client:
        client.shutdown()
    assert daemon.process is not None
    assert daemon.process.wait(30) == 0


def test_killed_rounds_keep_every_vector_that_was_flushed(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(EMBERD_CACHE__COMMIT_MS="10")
    known: dict[str, bytes] = {}
    for number in range(6):
        assert daemon.start()["state"] == "ready"
        with daemon.client() as client:
            for text, vector in known.items():
                assert client.embed(text).tobytes() == vector
            fresh = [f"round {number} text {i}" for i in range(8)]
            for text, vector in zip(fresh, client.embed(fresh), strict=True):
                known[text] = vector.tobytes()
            if number % 2:  # else it is killed while the writes may still be under way
                while client.call("stats", fresh=True)["cache"]["write_behind"]["queued"]:
                    pass
        daemon.stop(signal.SIGKILL)
    daemon.start()
    with daemon.client() as client:
        result = client.embed_detailed(list(known))
    assert [row.tobytes() for row in result.vectors] == list(known.values())
    flushed = 8 * sum(1 for number in range(6) if number % 2)
    assert result.hits.get("lmdb", 0) >= flushed


def test_the_client_starts_the_daemon_that_it_needs(make_daemon: MakeDaemon) -> None:
    home = make_daemon().home
    program = (
        "import emberd, os; c = emberd.Client(); print(c.embed(['hello']).shape, end=' ');"
        "print(c.stats().daemon.pid)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "EMBERD_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    shape, _, pid = done.stdout.strip().rpartition(" ")
    assert shape == "(1, 384)"
    os.kill(int(pid), signal.SIGTERM)


def test_wrong_settings_are_told_to_whoever_starts_it(make_daemon: MakeDaemon) -> None:
    answer = make_daemon(EMBERD_CACHE__MEMORY_MIB="lots").start()
    assert answer["state"] == "failed"
    assert answer["code"] == "INVALID_CONFIG"
    assert "cache.memory_mib" in answer["message"]


def test_a_data_folder_that_cannot_be_written_is_told(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    (daemon.home / "run").write_text("a file in the way")
    answer = daemon.start()
    assert answer["code"] == "STORAGE"
    assert str(daemon.home / "run") in answer["message"]


def test_tcp_wants_the_token_first(make_daemon: MakeDaemon) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    daemon = make_daemon(EMBERD_TCP__PORT=str(port), EMBERD_TCP__TOKEN="open-sesame")
    assert daemon.start()["state"] == "ready"
    address = f"tcp://127.0.0.1:{port}"
    with Client(address, token="open-sesame") as client:
        assert client.embed("hello").shape == (384,)
    with Client(address, token="wrong", retries=0) as stranger, pytest.raises(UnauthenticatedError):
        stranger.ping()
    with daemon.client() as neighbour:
        assert neighbour.ping() == "pong"


def test_a_restarted_daemon_is_found_again_by_the_same_client(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    daemon.start()
    with daemon.client() as client:
        before = client.embed("the same text")
        daemon.stop()
        with pytest.raises(EmberdError):
            client.embed("while it is away")
        daemon.start()
        np.testing.assert_array_equal(client.embed("the same text"), before)


def test_an_open_request_of_a_killed_daemon_fails_with_a_typed_error(
    daemon: DaemonProcess,
) -> None:
    failures: list[BaseException] = []

    def ask() -> None:
        with daemon.client(retries=0) as client:
            try:
                client.embed([f"{i} " + "a long text " * 40 for i in range(2000)])
            except EmberdError as exc:
                failures.append(exc)

    thread = threading.Thread(target=ask)
    thread.start()
    with daemon.client() as watcher:
        while watcher.call("stats", fresh=True)["engine"]["queue_texts"] == 0:
            pass
    daemon.stop(signal.SIGKILL)
    thread.join(30)
    assert isinstance(failures[0], ConnectionLostError | EmberdError)


def test_the_log_has_a_line_an_event(daemon: DaemonProcess) -> None:
    with daemon.client() as client:
        client.embed("hello")
    daemon.stop()
    events = [line.split()[2] for line in daemon.log().splitlines()]
    assert {"daemon.ready", "model.loaded", "daemon.stopping", "daemon.stopped"} <= set(events)


def test_the_snapshot_is_plain_json(client: Client) -> None:
    assert json.loads(json.dumps(client.call("stats")))["daemon"]["health"] == "ok"
