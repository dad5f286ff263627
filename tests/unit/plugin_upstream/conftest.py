"""A server that can misbehave, and embedders that ask it without ever really sleeping."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from upstream_kit import Clock, MakeEmbedder

from emberd_upstream.dims import KnownDims
from emberd_upstream.embedder import UpstreamEmbedder
from emberd_upstream.settings import ModelSettings
from emberd_upstream.transport import Transport
from upstream_server import DIM, UpstreamServer


@pytest.fixture
def server() -> Iterator[UpstreamServer]:
    server = UpstreamServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def second_server() -> Iterator[UpstreamServer]:
    server = UpstreamServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def make_embedder(clock: Clock, tmp_path: Path) -> AsyncIterator[MakeEmbedder]:
    """Makes embedders whose waiting only moves `clock` on."""
    made: list[UpstreamEmbedder] = []

    def make(*urls: str, name: str = "m", key: str = "", **settings: Any) -> UpstreamEmbedder:
        settings.setdefault("dim", DIM)
        known_dims = KnownDims(tmp_path, logging.getLogger("test"))
        embedder = UpstreamEmbedder(
            name, ModelSettings(urls=list(urls), **settings), key, Transport(8), known_dims
        )
        for endpoint in embedder.endpoints:
            endpoint.clock = clock.now
            endpoint.sleep = clock.sleep
        made.append(embedder)
        return embedder

    yield make
    for embedder in made:
        await embedder.close()
