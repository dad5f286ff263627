"""A real daemon with a real observer and exporter, installed as any package is."""

from __future__ import annotations

import json
import os
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon_process import DaemonProcess, MakeDaemon

from emberd.client import Client
from emberd.errors import EmberdError
from plugin_distributions import write_distribution

PLUGIN = """
import json
import os

from emberd.plugins import hookimpl


class Journal:
    name = "journal"

    def __init__(self, folder):
        self._folder = folder
        self._lines = 0

    def observe(self, records):
        if os.environ.get("JOURNAL_RAISES"):
            raise RuntimeError("the pen is broken")
        self._write("records", [{f: getattr(r, f) for f in r.__struct_fields__} for r in records])
        self._lines += len(records)

    def export(self, snapshot):
        row = {"sequence": snapshot.sequence, "texts": snapshot.texts.received}
        self._write("snapshots", [row])

    def statistics(self):
        return {"lines": self._lines}

    def _write(self, name, rows):
        with open(self._folder / name, "a") as out:
            out.writelines(json.dumps(row) + "\\n" for row in rows)


class Plugin:
    def _journal(self, context):
        self.journal = getattr(self, "journal", None) or Journal(context.folder)
        return self.journal

    @hookimpl
    def emberd_observers(self, context):
        return [self._journal(context)]

    @hookimpl
    def emberd_metrics_exporters(self, context):
        return [self._journal(context)]

    @hookimpl
    def emberd_statistics(self, context):
        return self._journal(context)


plugin = Plugin()
"""

WAIT_S = 30.0


@pytest.fixture
def package(tmp_path: Path) -> str:
    """A folder for PYTHONPATH, in which the plugin `journal` is installed."""
    entries = {"emberd": {"journal": "observers_journal:plugin"}}
    modules = {"observers_journal": PLUGIN}
    folder = write_distribution(tmp_path / "packages", "emberd-journal", entries, modules)
    return os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])


@pytest.fixture
def http_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@pytest.fixture
def daemon(make_daemon: MakeDaemon, package: str, http_port: int) -> Iterator[DaemonProcess]:
    daemon = make_daemon(PYTHONPATH=package, EMBERD_HTTP__PORT=str(http_port))
    assert daemon.start()["state"] == "ready"
    yield daemon
    daemon.stop()


def rows(daemon: DaemonProcess, name: str) -> list[dict[str, Any]]:
    file = daemon.paths.data / "plugins" / "journal" / name
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def eventually(look: Callable[[], Any]) -> Any:
    """What `look` gives, once it gives something true: the daemon writes on a thread of its own."""
    until = time.monotonic() + WAIT_S
    while not (found := look()):
        assert time.monotonic() < until
        time.sleep(0.02)
    return found


def of_method(records: list[dict[str, Any]], method: str) -> list[dict[str, Any]]:
    return [record for record in records if record["method"] == method]


def test_every_request_is_heard_as_it_comes_and_as_it_ends(daemon: DaemonProcess) -> None:
    with daemon.client(name="observed") as client:
        client.embed(["one text", "another text"])
        with pytest.raises(EmberdError):
            client.collections_info("nothing")
        (row,) = client.requests(method="embed").requests
    ended = eventually(lambda: of_method(rows(daemon, "records"), "collections.info")[1:])
    assert [(row["kind"], row["error"]) for row in ended] == [("failed", "COLLECTION_NOT_FOUND")]
    records = rows(daemon, "records")
    received, finished = of_method(records, "embed")
    assert (received["kind"], finished["kind"]) == ("received", "finished")
    assert received["request"] == finished["request"] == row.id > 0
    assert received["time"] <= finished["time"]
    assert (finished["client"], finished["client_id"]) == ("observed", received["client_id"])
    assert (finished["texts"], finished["error"]) == (2, "")
    assert finished["tokens"] > 2
    assert finished["seconds"] > 0
    batches = [record for record in records if record["kind"] == "batch"]
    assert sum(batch["texts"] for batch in batches) == 2
    assert all(batch["seconds"] > 0 and batch["request"] == 0 for batch in batches)
    numbers = [record["request"] for record in records if record["kind"] == "received"]
    assert numbers == sorted(set(numbers))


def test_requests_of_the_http_gateway_are_heard_too(daemon: DaemonProcess, http_port: int) -> None:
    def post(body: bytes) -> int:
        request = urllib.request.Request(
            f"http://127.0.0.1:{http_port}/v1/embeddings",
            body,
            {"Content-Type": "application/json", "User-Agent": "curl/8"},
        )
        try:
            with urllib.request.urlopen(request, timeout=WAIT_S) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code

    assert post(b'{"model": "all-MiniLM-L6-v2", "input": ["a", "b", "c"]}') == 200
    assert post(b'{"model": "no-such-model", "input": "a"}') == 404
    heard = eventually(lambda: of_method(rows(daemon, "records"), "embed")[3:])
    records = of_method(rows(daemon, "records"), "embed")
    assert heard
    assert [row["kind"] for row in records] == ["received", "finished", "received", "failed"]
    assert [row["client"] for row in records] == ["curl/8"] * 4
    assert (records[1]["texts"], records[3]["error"]) == (3, "MODEL_NOT_FOUND")


def test_snapshots_are_exported_in_order(daemon: DaemonProcess) -> None:
    with daemon.client() as client:
        client.embed(["x", "y"])
        eventually(lambda: [row for row in rows(daemon, "snapshots") if row["texts"] == 2])
        sequences = [row["sequence"] for row in rows(daemon, "snapshots")]
        assert sequences == sorted(set(sequences))
        (plugin,) = [row for row in client.plugins() if row.name == "journal"]
    assert plugin.state == "enabled"
    assert "observer journal" in plugin.provides
    assert plugin.calls >= len(sequences)


def test_the_last_words_are_heard_before_the_daemon_ends(daemon: DaemonProcess) -> None:
    with daemon.client() as client:
        for number in range(50):
            client.embed(f"text {number}")
    assert daemon.stop() == 0
    ended = [row for row in of_method(rows(daemon, "records"), "embed") if row["request"]]
    assert len(ended) == 100


def test_an_observer_that_raises_trips_and_harms_no_request(
    make_daemon: MakeDaemon, package: str
) -> None:
    daemon = make_daemon(PYTHONPATH=package, JOURNAL_RAISES="1", EMBERD_PLUGINS__ERRORS="2")
    assert daemon.start()["state"] == "ready"
    with daemon.client() as client:

        def state() -> Any:
            assert client.embed("still served").shape == (384,)
            (plugin,) = [row for row in client.plugins() if row.name == "journal"]
            return plugin if plugin.state == "tripped" else None

        plugin = eventually(state)
        assert plugin.errors == 2
        assert "the pen is broken" in plugin.message
        assert client.stats(fresh=True).daemon.health == "degraded"
        assert client.enable_plugin("journal").state == "enabled"
    daemon.stop()


def test_clients_see_what_the_plugin_says_of_itself(daemon: DaemonProcess) -> None:
    def lines(client: Client) -> Any:
        client.ping()
        info = client.plugin_info("journal")
        return info if info.statistics.get("lines") else None

    with daemon.client() as client:
        info = eventually(lambda: lines(client))
        assert "emberd_observers" in info.hooks
        assert Path(info.folder) == daemon.paths.data / "plugins" / "journal"
        snapshot = client.stats(fresh=True)
    assert "journal" in [plugin.name for plugin in snapshot.plugins]
