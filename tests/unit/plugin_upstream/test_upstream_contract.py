"""The contract of embedders, against a server of each kind."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from emberd.testing import EmbedderContract
from emberd_upstream.dims import KnownDims
from emberd_upstream.embedder import UpstreamEmbedder
from emberd_upstream.settings import Kind, ModelSettings
from emberd_upstream.transport import Transport
from upstream_server import BAD, UpstreamServer


class UpstreamContract(EmbedderContract):
    kind: Kind

    @pytest.fixture
    def embedder(self, server: UpstreamServer, tmp_path: Path) -> UpstreamEmbedder:
        return self.make(server.url, tmp_path)

    @pytest.fixture
    def broken_embedder(self, tmp_path: Path) -> UpstreamEmbedder:
        return self.make("http://127.0.0.1:1", tmp_path)

    @pytest.fixture
    def bad_text(self) -> str:
        return f"some {BAD} here"

    def make(self, url: str, folder: Path) -> UpstreamEmbedder:
        settings = ModelSettings(urls=[url], kind=self.kind, batch_texts=16, retries=0)
        known_dims = KnownDims(folder, logging.getLogger("test"))
        return UpstreamEmbedder("m", settings, "", Transport(8), known_dims)


class TestOpenAI(UpstreamContract):
    kind = "openai"


class TestOllama(UpstreamContract):
    kind = "ollama"


class TestTextEmbeddingsInference(UpstreamContract):
    kind = "tei"
