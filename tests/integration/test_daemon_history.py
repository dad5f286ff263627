"""What a real daemon tells of its last hour, its requests, its log and its cache."""

from __future__ import annotations

import json
import re
import socket
import urllib.error
import urllib.request
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from daemon_process import DaemonProcess, MakeDaemon

from emberd.client import Client
from emberd.errors import (
    CollectionNotFoundError,
    EmberdError,
    InvalidParamsError,
    ModelNotFoundError,
    NamespaceNotFoundError,
    TextTooLongError,
)

STAGES = {"load", "memory", "admission", "tokenise", "queue", "compute", "reply"}


def tiers_of(client: Client, text: str, **options: Any) -> dict[str, bool]:
    found = client.inspect(text, **options)
    assert found.cached == any(tier.found for tier in found.tiers)
    return {tier.tier: tier.found for tier in found.tiers}


def test_a_fresh_client_gets_the_history_that_was_before_it(daemon: DaemonProcess) -> None:
    with daemon.client() as client:
        client.embed([f"text {number}" for number in range(20)])
        for _ in range(3):
            newest = client.stats(fresh=True)
    with daemon.client() as other:
        found = other.stats_history()
        assert found.step_s == 1
        assert found.end >= newest.time
        columns = found.columns
        assert len({len(column) for column in columns.values()}) == 1
        assert len(columns["texts_per_s"]) >= 3
        assert max(value for value in columns["computed_per_s"] if value is not None) > 0
        assert None in columns["p50_ms"]
        assert columns["rss_bytes"][-1] > 1 << 20
        assert other.stats_history(3_600).step_s == 10
        with pytest.raises(InvalidParamsError):
            other.stats_history(3_601)


def test_a_slow_request_is_listed_and_logged_under_one_number(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(EMBERD_LOG__SLOW_MS="1")
    assert daemon.start()["state"] == "ready"
    with daemon.client(name="patient") as client:
        client.embed([f"a text of some length, number {number}" for number in range(100)])
        (row,) = client.requests("slow", client="PATIENT", method="embed").requests
        (line,) = client.log_lines(contains=f"request={row.id}").lines
        assert (row.texts, row.computed, row.error) == (100, 100, "")
        assert client.requests("slowest").requests[0].id == row.id
    assert line.event == "request.slow"
    assert line.fields["request"] == row.id
    assert line.fields["client"] == "patient"
    daemon.stop()
    assert re.search(rf"request\.slow .* request={row.id} client=patient texts=100", daemon.log())


def test_a_request_that_was_computed_has_its_stages(client: Client) -> None:
    client.embed(["first", "second"])
    (row,) = client.requests(method="embed").requests
    stages = row.stages
    assert stages.tokenise > 0
    assert stages.compute > 0
    assert set(stages.tiers) == {"lmdb"}
    spent = sum(getattr(stages, name) for name in STAGES) + sum(stages.tiers.values())
    assert spent == pytest.approx(row.seconds, rel=0.05, abs=2e-3)


def test_a_hit_is_listed_with_its_tier_and_no_stages(client: Client) -> None:
    client.embed("known")
    client.embed("known")
    hit, miss = client.requests(method="embed").requests
    assert (hit.texts, hit.hits, hit.computed) == (1, {"memory": 1}, 0)
    assert (miss.texts, miss.hits, miss.computed) == (1, {}, 1)
    assert not any(getattr(hit.stages, name) for name in STAGES)
    assert hit.id > miss.id
    assert hit.time >= miss.time


def test_failures_and_work_of_other_methods_are_listed_too(client: Client) -> None:
    with pytest.raises(CollectionNotFoundError):
        client.collections_info("nothing")
    client.similarity("one", ["one", "two"])
    similarity, failed = client.requests(limit=2).requests
    assert (similarity.method, similarity.texts) == ("similarity", 3)
    assert (failed.method, failed.error) == ("collections.info", "COLLECTION_NOT_FOUND")
    assert [row.id for row in client.requests(failed=True).requests] == [failed.id]


def test_looking_is_not_listed(client: Client) -> None:
    client.ping()
    client.stats()
    client.stats_history()
    client.log_lines()
    client.requests()
    assert client.requests().requests == []


def test_requests_of_the_http_gateway_are_listed(make_daemon: MakeDaemon) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    daemon = make_daemon(EMBERD_HTTP__PORT=str(port))
    assert daemon.start()["state"] == "ready"
    for model in ("all-MiniLM-L6-v2", "all-MiniLM-L6-v2", "no-such-model"):
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/embeddings",
            json.dumps({"model": model, "input": ["a", "b"]}).encode(),
            {"Content-Type": "application/json", "User-Agent": "curl/8"},
        )
        with suppress(urllib.error.HTTPError), urllib.request.urlopen(request, timeout=30) as reply:
            reply.read()
    with daemon.client() as client:
        failed, hit, miss = client.requests(client="curl", method="embed").requests
    assert failed.error == "MODEL_NOT_FOUND"
    assert (hit.hits, hit.texts, hit.error) == ({"memory": 2}, 2, "")
    assert (miss.hits, miss.texts, miss.computed) == ({}, 2, 2)
    assert miss.stages.compute > 0
    daemon.stop()


def test_a_look_into_the_cache_says_which_tiers_have_a_text(daemon: DaemonProcess) -> None:
    with daemon.client() as client:
        assert tiers_of(client, "a text") == {"memory": False, "lmdb": False}
        client.embed("a text")
        found = client.inspect("a text")
        assert tiers_of(client, "a text")["memory"]
        memory = found.tiers[0]
        assert (memory.size_bytes, memory.age_s) == (384 * 2 + 4, None)
        assert memory.norm == pytest.approx(1.0, abs=1e-3)
        assert found.tokens == client.count_tokens(["a text"])[0]
        assert not any(tiers_of(client, "a text", prefix="query: ").values())
        assert not any(tiers_of(client, "a text", truncate="start").values())
    daemon.stop()
    assert daemon.start()["state"] == "ready"
    with daemon.client() as client:
        for _ in range(2):
            assert tiers_of(client, "a text") == {"memory": False, "lmdb": True}
        lmdb = client.inspect("a text").tiers[1]
        assert lmdb.age_s is not None
        assert 0 <= lmdb.age_s < 3_600
        assert np.isclose(lmdb.norm, 1.0, atol=1e-3)


def test_a_look_counts_neither_as_hit_nor_as_miss(client: Client) -> None:
    client.embed("a text")
    before = client.stats(fresh=True)
    for text in ("a text", "another"):
        client.inspect(text)
    after = client.stats(fresh=True)
    counted = [[(tier.hits, tier.misses) for tier in s.cache.tiers] for s in (before, after)]
    assert counted[0] == counted[1]
    assert before.texts.received == after.texts.received


def test_top_texts_are_off_until_they_are_asked_for(client: Client) -> None:
    client.embed(["a text", "a text"])
    client.embed("a text")
    found = client.top_texts()
    assert (found.kept, found.texts) == (0, [])
    assert "top_texts = 20" in found.message


def test_top_texts_are_those_of_the_namespace_and_go_with_it(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(
        EMBERD_CACHE__TOP_TEXTS="2", EMBERD_CACHE__NAMESPACES__NOTES__MEMORY_MIB="1"
    )
    assert daemon.start()["state"] == "ready"
    with daemon.client() as client:
        for texts in (["often", "x" * 500, "once"], ["often", "x" * 500, "once"], ["often"] * 3):
            client.embed(texts)
        client.embed(["often", "x" * 500])
        for _ in range(2):
            client.embed("a secret of the notes", namespace="notes")
        found = client.top_texts()
        assert [(each.text, each.hits) for each in found.texts] == [("often", 5), ("x" * 200, 2)]
        assert (found.kept, found.hits, found.texts[1].characters) == (2, 8, 500)
        assert [each.text for each in client.top_texts("notes").texts] == ["a secret of the notes"]
        assert client.inspect("often").hits == 5
        assert client.inspect("never asked for").hits is None
        with pytest.raises(NamespaceNotFoundError):
            client.top_texts("nobody")
        with pytest.raises(InvalidParamsError):
            client.top_texts(limit=0)
        client.cache_clear("default")
        assert client.top_texts().texts == []
        assert client.top_texts("notes").texts
        daemon.stop()
    assert daemon.start()["state"] == "ready"
    with daemon.client() as client:
        assert client.top_texts("notes").texts == []
        client.embed("a secret of the notes", namespace="notes")  # of the tier on disk
        assert [each.hits for each in client.top_texts("notes").texts] == [1]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"model": "no-such-model"}, ModelNotFoundError),
        ({"namespace": "nobody"}, NamespaceNotFoundError),
        ({"prompt": "p", "prefix": "q"}, InvalidParamsError),
    ],
)
def test_a_look_that_cannot_be_is_an_error(
    client: Client, options: dict[str, str], error: type[EmberdError]
) -> None:
    with pytest.raises(error):
        client.inspect("a text", **options)
    with pytest.raises(TextTooLongError):
        client.inspect("x" * (1 << 20) + "x")


def test_the_log_is_followed_from_where_one_was(client: Client, daemon: DaemonProcess) -> None:
    started = client.log_lines()
    events = [line.event for line in started.lines]
    assert "daemon.ready" in events
    assert {line.fields.get("pid") for line in started.lines} >= {daemon.pid}
    assert client.log_lines(contains="DAEMON.ready").lines[0].event == "daemon.ready"
    assert client.inspect("for this the model is loaded").tokens > 0
    seen = client.log_lines().next
    assert client.log_lines(after=seen).lines == []
    client.models_unload("all-MiniLM-L6-v2")
    later = client.log_lines(after=seen)
    assert "model.unloaded" in [line.event for line in later.lines]
    assert later.next == seen + len(later.lines)
    assert client.log_lines(after=seen, contains="no such words").lines == []
