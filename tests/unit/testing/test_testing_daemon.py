from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from emberd.client import AsyncClient
from emberd.errors import (
    DaemonAlreadyRunningError,
    DaemonUnreachableError,
    PluginFailedError,
    TextTooLongError,
)
from emberd.plugins import PluginContext, hookimpl
from emberd.testing import DeterministicEmbedder
from emberd.testing.deterministic import vector_of

pytestmark = pytest.mark.usefixtures("emberd_leak_check")


class Recorder:
    """A plugin that tells what was called."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.is_started = threading.Event()

    @hookimpl
    def emberd_check(self, context: PluginContext) -> None:
        self.calls.append(f"check {context.name}")

    @hookimpl
    def emberd_daemon_started(self) -> None:
        self.calls.append("started")
        self.is_started.set()

    @hookimpl
    def emberd_daemon_stopping(self) -> None:
        self.calls.append("stopping")


def test_vectors_are_unit_vectors_of_the_text_alone(emberd_client) -> None:
    found = emberd_client.embed(["one", "two", "one"])
    assert found.shape == (3, 16)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-3)
    assert np.allclose(found[0], vector_of("one"), atol=1e-3)
    assert (found[0] == found[2]).all()
    assert float(found[0] @ found[1]) < 0.9


def test_what_the_embedder_was_not_asked_for_came_from_the_cache(emberd_daemon) -> None:
    daemon = emberd_daemon()
    client = daemon.client()
    client.embed(["a", "b"])
    client.embed(["b", "c"])
    assert sorted(daemon.embedder.texts) == ["a", "b", "c"]


def test_a_restarted_daemon_has_its_disk_and_not_its_memory(emberd_daemon) -> None:
    daemon = emberd_daemon()
    first = daemon.client().embed("kept")
    daemon.restart()
    result = daemon.client().embed_detailed(["kept"])
    assert (result.vectors[0] == first).all()
    assert daemon.embedder.texts == ["kept"]


def test_tokens_are_words_and_long_texts_are_cut(emberd_daemon) -> None:
    daemon = emberd_daemon(embedder=DeterministicEmbedder(dim=24, max_tokens=3))
    client = daemon.client()
    assert np.allclose(client.embed("a b c d"), vector_of("a b c", 24), atol=1e-3)
    start = client.embed("a b c d", truncate="start")
    assert np.allclose(start, vector_of("b c d", 24), atol=1e-3)
    with pytest.raises(TextTooLongError):
        client.embed("a b c d", truncate="error")


def test_plugins_are_loaded_asked_and_told_of_the_end(emberd_daemon) -> None:
    recorder = Recorder()
    daemon = emberd_daemon(plugins={"recorder": recorder})
    assert recorder.is_started.wait(30)
    (stats,) = (each for each in daemon.client().plugins() if each.name == "recorder")
    assert (stats.state, stats.source) == ("enabled", "the test")
    daemon.stop()
    assert recorder.calls == ["check recorder", "started", "stopping"]


def test_of_the_installed_plugins_only_those_with_settings_take_part(emberd_daemon) -> None:
    names = [each.name for each in emberd_daemon().client().plugins()]
    assert names == ["deterministic", "lmdb"]
    daemon = emberd_daemon(settings={"plugin": {"limits": {}}})
    assert "limits" in [each.name for each in daemon.client().plugins()]


def test_a_daemon_that_does_not_start_says_why(emberd_daemon) -> None:
    first = emberd_daemon()
    with pytest.raises(DaemonAlreadyRunningError):
        emberd_daemon(home=first.home)
    assert first.client().ping() == "pong"


def test_a_required_plugin_that_is_broken_keeps_it_from_starting(emberd_daemon) -> None:
    with pytest.raises(PluginFailedError, match="broken"):
        emberd_daemon(plugins={"broken": object()}, settings={"plugins": {"required": ["broken"]}})


async def test_an_async_test_may_use_it_too(emberd_daemon) -> None:
    daemon = emberd_daemon()
    async with AsyncClient(daemon.socket, autostart=False) as client:
        assert (await client.embed(["text"])).shape == (1, 16)
    assert await asyncio.to_thread(lambda: daemon.embedder.texts) == ["text"]


def test_a_client_may_shut_it_down(emberd_daemon) -> None:
    daemon = emberd_daemon()
    client = daemon.client()
    client.shutdown()
    daemon.stop()
    with pytest.raises(DaemonUnreachableError):
        daemon.client().ping()
