"""A store of tiny models, and embedders over it."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, processors

from emberd.models import ModelStore, pull
from emberd_openvino.embedder import OpenVinoEmbedder
from emberd_openvino.settings import OpenVinoSettings

DATA = Path(__file__).resolve().parents[2] / "data"
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{number}" for number in range(12))]


def tiny_store(root: Path, *, pooling: str = "mean", data: str = "tiny-bert") -> ModelStore:
    """A store with the model `tiny`, built as any other."""
    source = root / "source"
    (source / "1_Pooling").mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(DATA / data / name, source / name)
    mode = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token"}[pooling]
    (source / "1_Pooling" / "config.json").write_text(json.dumps({mode: True}))
    words = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(source / "tokenizer.json"))
    store = ModelStore(root / "models")
    pull(str(source), store, name="tiny")
    return store


def embedder_over(store: ModelStore, folder: Path, **settings: object) -> OpenVinoEmbedder:
    """One with two threads."""
    chosen = OpenVinoSettings(**{"threads": 2, **settings})
    return OpenVinoEmbedder(chosen, store.root, folder / "compiled", logging.getLogger("test"))
