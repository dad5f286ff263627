from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("emberd_openvino.library", exc_type=ImportError)

from openvino_kit import embedder_over, tiny_store

from emberd.models import ModelStore
from emberd.plugins import Embedder
from emberd.testing import EmbedderContract


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    return tiny_store(tmp_path_factory.mktemp("openvino"))


class TestOpenVinoEmbedder(EmbedderContract):
    @pytest.fixture
    def embedder(self, store: ModelStore, tmp_path: Path) -> Embedder:
        return embedder_over(store, tmp_path)

    @pytest.fixture
    def bad_text(self) -> str:
        return "not Unicode: \udcff"

    @pytest.fixture
    def broken_embedder(self, tmp_path: Path) -> Embedder:
        store = tiny_store(tmp_path)
        (store.root / "tiny" / "model.safetensors").write_bytes(b"no weights")
        return embedder_over(store, tmp_path)
