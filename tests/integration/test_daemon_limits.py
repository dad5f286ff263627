"""The limits of `[plugin.limits]` on a real daemon, by its socket and by HTTP."""

from __future__ import annotations

import json
import signal
import socket
import urllib.error
import urllib.request
from typing import Any

import pytest
from daemon_process import DaemonProcess, MakeDaemon

from emberd.client import Client
from emberd.errors import RateLimitedError
from emberd.wire.snapshot import PluginStats


def limited(make_daemon: MakeDaemon, *lines: str, **variables: str) -> DaemonProcess:
    """A daemon that serves with these lines of settings."""
    daemon = make_daemon(**variables)
    file = daemon.paths.config_file
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines))
    answer = daemon.start()
    assert answer["state"] == "ready", answer
    return daemon


def plugin_of(client: Client) -> PluginStats:
    snapshot = client.stats(fresh=True)
    (plugin,) = [plugin for plugin in snapshot.plugins if plugin.name == "limits"]
    return plugin


def wait_for_figure(client: Client, name: str, value: int) -> None:
    """Return when the plugin says so of itself; its figures are as old as a snapshot or two."""
    while (plugin := plugin_of(client)).statistics.get(name) != value:
        assert plugin.state == "enabled", plugin


def use_up(client: Client, most: int = 200) -> RateLimitedError:
    """Ask for new texts until one is refused."""
    for number in range(most):
        try:
            client.embed(f"text number {number}")
        except RateLimitedError as error:
            return error
    raise AssertionError("nothing was refused")


def test_a_client_over_its_rate_is_told_when_to_come_back(make_daemon: MakeDaemon) -> None:
    daemon = limited(make_daemon, "[plugin.limits]", "client = { requests_per_minute = 30 }")
    with (
        daemon.client(name="busy", rate_limit_wait_s=0) as busy,
        daemon.client(name="calm") as calm,
    ):
        error = use_up(busy)
        assert error.retry_after_ms
        assert 0 < error.retry_after_ms <= 2_300
        assert error.details["client"] == "busy"
        assert error.details["limiter"] == "rates"
        calm.embed("another client has a rate of its own")
        rows = {row.name: row for row in calm.stats(fresh=True).clients}
        assert (rows["busy"].limited, rows["calm"].limited) == (1, 0)
        assert rows["busy"].limit is not None
        assert rows["busy"].limit.state == "limited"
        while rows["calm"].limit is None:  # read from the first look on
            rows = {row.name: row for row in calm.stats(fresh=True).clients}
        assert rows["calm"].limit.state == "free"
        assert rows["calm"].limit.limit == "requests a minute"


def test_hits_are_never_limited(make_daemon: MakeDaemon) -> None:
    daemon = limited(make_daemon, "[plugin.limits]", "client = { requests_per_minute = 20 }")
    with daemon.client(rate_limit_wait_s=0) as client:
        client.embed("known")
        use_up(client)
        for _ in range(100):
            client.embed("known")


def test_a_client_waits_for_a_rate_by_itself(make_daemon: MakeDaemon) -> None:
    daemon = limited(make_daemon, "[plugin.limits]", "client = { requests_per_minute = 120 }")
    with daemon.client() as client:
        for number in range(14):
            assert client.embed(f"patience {number}").shape == (384,)
        (row,) = client.stats(fresh=True).clients
        assert row.limited >= 1


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_a_quota_survives_the_end_of_the_daemon(
    make_daemon: MakeDaemon, ending: signal.Signals
) -> None:
    daemon = limited(make_daemon, "[plugin.limits]", "quota.client = { texts = 10 }")
    quota_file = daemon.paths.data / "plugins" / "limits" / "quota.json"
    with daemon.client(name="one", rate_limit_wait_s=0) as client:
        for number in range(10):
            client.embed(f"text {number}")
        while not (quota_file.exists() and b'"one":[10,' in quota_file.read_bytes()):
            client.stats(fresh=True)  # the figures' second is also the file's
    daemon.stop(ending)
    daemon.start()
    with daemon.client(name="one", rate_limit_wait_s=0) as client:
        client.embed("text 3")
        with pytest.raises(RateLimitedError, match="0 of its 10 texts a day left"):
            client.embed("one more")


def test_a_wait_until_midnight_is_not_waited_for(make_daemon: MakeDaemon) -> None:
    daemon = limited(make_daemon, "[plugin.limits]", "quota.client = { texts = 2 }")
    with daemon.client() as client:
        client.embed(["a", "b"])
        with pytest.raises(RateLimitedError) as caught:
            client.embed("c")
        assert caught.value.retry_after_ms
        wait_for_figure(client, "quota.texts left (client, least)", 0)


def test_every_method_that_computes_is_limited(make_daemon: MakeDaemon) -> None:
    daemon = limited(make_daemon, "[plugin.limits]", "quota.client = { texts = 4 }")
    with daemon.client() as client:
        client.upsert("notes", ["one", "two"], ["a", "b"])
        client.similarity(["c"], ["d"])
        for call in (
            lambda: client.embed("e"),
            lambda: client.similarity(["e"], ["a"]),
            lambda: client.search("notes", "e"),
            lambda: client.upsert("notes", ["three"], ["e"]),
        ):
            with pytest.raises(RateLimitedError):
                call()
        assert client.search("notes", "a")


def test_a_concurrency_limit_lets_a_crowd_through(make_daemon: MakeDaemon) -> None:
    daemon = limited(make_daemon, "[plugin.limits]", "adaptive = { enabled = true, max = 4 }")
    with daemon.client() as client:
        vectors = client.embed([f"one of many texts, the {number}th" for number in range(3_000)])
        assert vectors.shape == (3_000, 384)
        wait_for_figure(client, "concurrency.in flight (all-MiniLM-L6-v2)", 0)


def test_http_says_429_and_when_to_come_back(make_daemon: MakeDaemon) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    daemon = limited(
        make_daemon,
        "[http]",
        f"port = {port}",
        "[plugin.limits]",
        "client = { requests_per_minute = 1 }",
    )
    assert post(port, "first")[0] == 200
    status, headers, body = post(port, "second")
    assert status == 429
    assert 1 <= int(headers["Retry-After"]) <= 67
    assert int(headers["retry-after-ms"]) > 0
    assert headers["x-should-retry"] == "true"
    assert body["error"]["type"] == "rate_limit_error"
    assert body["error"]["code"] == "rate_limited"
    assert post(port, "first")[0] == 200
    assert daemon.stop() == 0


def test_a_wrong_setting_is_told_and_the_daemon_serves_without_limits(
    make_daemon: MakeDaemon,
) -> None:
    daemon = limited(make_daemon, "[plugin.limits.namespace.noted]", "requests_per_minute = 1")
    with daemon.client() as client:
        client.embed(["a", "b"])
        plugin = plugin_of(client)
        assert plugin.state == "settings_error"
        assert "'noted' is not declared" in plugin.message


def post(port: int, text: str) -> tuple[int, dict[str, str], dict[str, Any]]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/embeddings",
        json.dumps({"model": "all-MiniLM-L6-v2", "input": text}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, dict(response.headers), json.load(response)
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, dict(exc.headers), json.load(exc)
