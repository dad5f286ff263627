"""A store of tiny models, and embedders over it."""

from __future__ import annotations

import logging
from pathlib import Path

from emberd.models import ModelStore
from emberd_openvino.embedder import OpenVinoEmbedder
from emberd_openvino.settings import OpenVinoSettings
from tiny_model import tiny_model

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{number}" for number in range(12))]


def tiny_store(root: Path, *, pooling: str = "mean", data: str = "tiny-bert") -> ModelStore:
    """A store with the model `tiny`, built as any other."""
    store = ModelStore(root / "models")
    tiny_model(store, WORDS, data=data, pooling=pooling)
    return store


def embedder_over(store: ModelStore, folder: Path, **settings: object) -> OpenVinoEmbedder:
    """One with two threads."""
    chosen = OpenVinoSettings(**{"threads": 2, **settings})
    return OpenVinoEmbedder(chosen, store.root, folder / "compiled", logging.getLogger("test"))
