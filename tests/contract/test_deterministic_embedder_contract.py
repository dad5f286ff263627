from __future__ import annotations

import pytest

from emberd.plugins import Embedder
from emberd.testing import DeterministicEmbedder, EmbedderContract


class TestDeterministicEmbedder(EmbedderContract):
    @pytest.fixture
    def embedder(self) -> Embedder:
        return DeterministicEmbedder()


class TestEveryDim(EmbedderContract):
    @pytest.fixture(params=[1, 15, 17, 384])
    def embedder(self, request: pytest.FixtureRequest) -> Embedder:
        return DeterministicEmbedder(dim=request.param)
