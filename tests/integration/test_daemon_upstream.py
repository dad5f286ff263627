"""The real daemon before other embedding servers: a small one on loopback, and another emberd."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from daemon_process import DaemonProcess, MakeDaemon

from emberd.client import Client
from emberd.errors import (
    CollectionModelMismatchError,
    InvalidParamsError,
    ModelNotFoundError,
    RateLimitedError,
    UpstreamUnavailableError,
)
from upstream_server import BAD, DIM, UpstreamServer, refuse, text_vector

KEY = "sk-this-is-nobodys-business"
LOCAL = "all-MiniLM-L6-v2"


def section(name: str, **settings: Any) -> dict[str, str]:
    """The variables that stand for `[plugin.upstream.models.NAME]`."""
    import json

    prefix = f"EMBERD_PLUGIN__UPSTREAM__MODELS__{name.upper()}__"
    return {prefix + key.upper(): json.dumps(value) for key, value in settings.items()}


@pytest.fixture
def server() -> Iterator[UpstreamServer]:
    server = UpstreamServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def daemon(make_daemon: MakeDaemon, server: UpstreamServer) -> DaemonProcess:
    daemon = make_daemon(
        **section(
            "x", urls=[server.url], api_key=KEY, retries=0, fallback=LOCAL, prompts__query="q: "
        )
    )
    answer = daemon.start()
    assert answer["state"] == "ready", answer
    return daemon


@pytest.fixture
def client(daemon: DaemonProcess) -> Iterator[Client]:
    with daemon.client() as client:
        yield client


def expected(*texts: str) -> np.ndarray[Any, Any]:
    return np.array([text_vector(text) for text in texts], np.float32)


def test_an_upstreams_vectors_are_embedded_once_and_then_come_from_the_cache(
    daemon: DaemonProcess, server: UpstreamServer
) -> None:
    server.seen.clear()  # it was asked for the number of dimensions
    with daemon.client() as client:
        fresh = client.embed_detailed(["a", "b", "a"], model="x")
        again = client.embed_detailed(["b", "a"], model="x")
    assert (fresh.model, fresh.dim, fresh.computed, fresh.tokens) == ("x", DIM, 2, 6)
    np.testing.assert_allclose(fresh.vectors, expected("a", "b", "a"), atol=1e-3)
    assert again.hits == {"memory": 2}
    assert server.texts == ["a", "b"]
    daemon.stop()
    server.stop()
    daemon.start()  # the server is away, and what it said of its dimensions is remembered
    with daemon.client() as client:
        kept = client.embed_detailed(["a", "b", "a"], model="x")
    assert kept.hits == {"lmdb": 2}
    assert kept.vectors.tobytes() == fresh.vectors.tobytes()


def test_twenty_clients_cause_one_upstream_text(
    daemon: DaemonProcess, server: UpstreamServer
) -> None:
    server.seen.clear()
    together = threading.Barrier(20)

    def ask(_: int) -> bytes:
        with daemon.client() as client:
            client.ping()
            together.wait(30)
            return client.embed("the one text", model="x").tobytes()

    with ThreadPoolExecutor(20) as pool:
        vectors = set(pool.map(ask, range(20)))
    assert len(vectors) == 1
    assert server.texts == ["the one text"]


def test_one_bad_text_fails_alone(client: Client) -> None:
    texts = ["a", f"{BAD}!", "c"]
    found = client.embed_detailed(texts, model="x", partial=True)
    assert list(found.failures) == [1]
    assert isinstance(found.failures[1], InvalidParamsError)
    np.testing.assert_allclose(found.vectors[[0, 2]], expected("a", "c"), atol=1e-3)


def test_the_fallback_answers_and_is_named(client: Client, server: UpstreamServer) -> None:
    client.embed_detailed(["cached"], model="x")
    server.stop()
    found = client.embed_detailed(["cached", "new"], model="x")
    assert (found.model, found.dim, found.instead_of) == (LOCAL, 384, "x")
    local = client.embed_detailed(["cached", "new"], model=LOCAL)
    assert local.fingerprint == found.fingerprint
    assert sum(local.hits.values()) == 2
    assert local.vectors.tobytes() == found.vectors.tobytes()
    assert client.embed_detailed(["cached"], model="x").model == "x"
    events = [each.event for each in client.stats(fresh=True).events]
    assert events.count("model.fallback") == 1


def test_another_model_never_answers_silently(client: Client, server: UpstreamServer) -> None:
    server.stop()
    with pytest.raises(UpstreamUnavailableError):
        client.embed_detailed(["a"], model="x", fallback=False)
    with pytest.raises(UpstreamUnavailableError, match="embed_detailed"):
        client.embed(["a"], model="x")
    with pytest.raises(UpstreamUnavailableError, match="embed_detailed"):
        list(client.embed_iter(["a"], model="x"))
    assert client.embed(["a"], model="x", fallback=True).shape == (1, 384)
    with pytest.raises(UpstreamUnavailableError):
        client.similarity(["a"], ["b"], model="x")


def test_an_upstreams_refusal_for_its_rate_reaches_the_client(
    client: Client, server: UpstreamServer
) -> None:
    server.faults.append(refuse(429, "slow down", Retry_After="70"))
    with pytest.raises(RateLimitedError, match="slow down") as caught:
        client.embed(["a"], model="x")
    assert caught.value.retry_after_ms is not None
    assert 60_000 < caught.value.retry_after_ms <= 70_000


def test_a_collection_works_with_an_upstreams_model_and_never_falls_back(
    client: Client, server: UpstreamServer
) -> None:
    client.collections_create("notes", model="x")
    texts = [f"note {number}" for number in range(30)]
    client.upsert("notes", [str(number) for number in range(30)], texts)
    hits = client.search("notes", "note 7", k=1)
    assert (hits[0].id, hits[0].text) == ("7", "note 7")
    server.stop()
    assert client.search("notes", "note 7", k=1)[0].id == "7"
    with pytest.raises(UpstreamUnavailableError):
        client.search("notes", "never asked before", k=1)
    with pytest.raises((UpstreamUnavailableError, CollectionModelMismatchError)):
        client.upsert("notes", ["new"], ["a new note"])


def test_the_model_is_listed_and_its_key_is_nowhere(daemon: DaemonProcess) -> None:
    with daemon.client() as client:
        client.embed("a", model="x")
        rows = {row["name"]: row for row in client.models_list()}
        assert (rows["x"]["source"], rows["x"]["state"]) == ("plugin upstream", "loaded")
        assert client.models_load("x")["dim"] == DIM
        assert client.count_tokens(["abcdef"], model="x") == [4]
        snapshot = client.stats(fresh=True)
        assert {model.name for model in snapshot.models} >= {"x"}
        plugin = next(each for each in snapshot.plugins if each.name == "upstream")
        assert plugin.state == "enabled"
        assert plugin.errors == 0
        shown = [client.plugin_info("upstream"), snapshot, rows]
    assert KEY not in repr(shown)
    assert KEY not in daemon.log()


def test_named_prompts_of_the_settings_are_sent(client: Client, server: UpstreamServer) -> None:
    client.embed("a", model="x", prompt="query")
    assert server.texts[-1] == "q: a"


def test_a_hanging_upstream_does_not_hold_up_other_models(
    client: Client, server: UpstreamServer
) -> None:
    arrived = threading.Event()

    async def hang(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        arrived.set()
        return await server.hang(request, body)

    server.faults.append(hang)
    with ThreadPoolExecutor(1) as pool:
        stuck = pool.submit(client.embed, ["stuck"], model="x")
        assert arrived.wait(30)
        assert client.embed(["quick"], model=LOCAL).shape == (1, 384)
        assert not stuck.done()
        server.stop()
        with pytest.raises(UpstreamUnavailableError):
            stuck.result(30)


def test_the_default_model_may_be_an_upstreams(
    make_daemon: MakeDaemon, server: UpstreamServer
) -> None:
    daemon = make_daemon(EMBERD_MODELS__DEFAULT="x", **section("x", urls=[server.url]))
    assert daemon.start()["state"] == "ready"
    with daemon.client() as client:
        assert client.embed_detailed("a").model == "x"
        assert client.hello().default_model == "x"


def test_an_upstream_that_comes_up_later_is_found(make_daemon: MakeDaemon) -> None:
    server = UpstreamServer(port=free_port())
    daemon = make_daemon(**section("x", urls=[server.url], retries=0))
    assert daemon.start()["state"] == "ready"
    with daemon.client() as client:
        server.start()
        try:
            found = eventually(lambda: client.embed_detailed("a", model="x"))
        finally:
            server.stop()
    assert found.model == "x"


def test_another_emberd_can_be_the_upstream(make_daemon: MakeDaemon) -> None:
    port = free_port()
    far = make_daemon(EMBERD_HTTP__PORT=str(port))
    assert far.start()["state"] == "ready"
    url = f"http://127.0.0.1:{port}"
    near = make_daemon(
        **section("far", urls=[url], model=LOCAL, fallback=LOCAL, retries=0),
        **section("other", urls=[url], model=LOCAL, kind="ollama"),
        **section("third", urls=[url], model=LOCAL, kind="tei"),
    )
    assert near.start()["state"] == "ready"
    texts = ["A daemon keeps the model warm.", "Le chat est assis.", "emoji 🎉", "word " * 50]
    with far.client() as client:
        local = client.embed(texts)
    with near.client() as client:
        first = client.embed_detailed(texts, model="far")
        asked = embedded_by(far)
        second = client.embed_detailed(texts, model="far")
        # The same model at another address has the same vectors, and so the same place.
        third = client.embed_detailed(texts, model="other")
        fresh = [
            client.embed_detailed(texts, model=name, use_cache=False).vectors
            for name in ("other", "third")
        ]
        np.testing.assert_allclose(first.vectors, local, atol=2e-3)
        for vectors in fresh:
            np.testing.assert_allclose(vectors, local, atol=2e-3)
        assert (second.hits, third.hits) == ({"memory": 4}, {"memory": 4})
        assert embedded_by(far) == asked + 8
        far.stop()
        away = client.embed_detailed(["never seen"], model="far")
    assert (away.model, away.instead_of) == (LOCAL, "far")


def test_a_wrong_section_leaves_the_plugin_out_and_the_daemon_serves(
    make_daemon: MakeDaemon,
) -> None:
    daemon = make_daemon(**section("x", urls=["ftp://nowhere"], api_key=KEY))
    assert daemon.start()["state"] == "ready"
    with daemon.client() as client:
        info = client.plugin_info("upstream")
        with pytest.raises(ModelNotFoundError):
            client.embed("a", model="x")
        assert client.embed("a").shape == (384,)
    assert info.state == "check_error"
    assert "http://" in info.message
    assert KEY not in repr(info)


def embedded_by(daemon: DaemonProcess) -> int:
    with daemon.client() as client:
        return client.stats(fresh=True).texts.received


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def eventually(ask: Any) -> Any:
    """The answer, once there is one: the daemon asks again every few seconds."""
    pause = threading.Event()
    for _ in range(60):
        try:
            return ask()
        except ModelNotFoundError:
            pause.wait(0.5)
    raise AssertionError("the model never came")
