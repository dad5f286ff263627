"""A stored model so small that a test may run it, with a vocabulary of the test's own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, processors

from emberd.models import ModelStore, StoredModel, pull

__all__ = ["tiny_model"]

_DATA = Path(__file__).parent / "data"
_POOLINGS = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token"}
_ENDS = ("[CLS]", "[SEP]")


def tiny_model(
    store: ModelStore, words: Sequence[str], *, data: str = "tiny-bert", pooling: str = "mean"
) -> StoredModel:
    """Pulled as `tiny` from a folder beside the store. `words` has `[UNK]`; with `[CLS]` and
    `[SEP]` in it each text lies between them."""
    source = store.root.parent / "source"
    (source / "1_Pooling").mkdir(parents=True)
    for file in ("config.json", "model.safetensors"):
        shutil.copyfile(_DATA / data / file, source / file)
    (source / "1_Pooling" / "config.json").write_text(json.dumps({_POOLINGS[pooling]: True}))
    vocabulary = {word: index for index, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if vocabulary.keys() >= set(_ENDS):
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[(end, vocabulary[end]) for end in _ENDS]
        )
    tokenizer.save(str(source / "tokenizer.json"))
    return pull(str(source), store, name="tiny")
