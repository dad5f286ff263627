"""A stored model in the shape that other programs read: a Hugging Face folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from bench.plain_graph import plain_bert
from emberd.models import StoredModel

__all__ = ["write_model_folder"]


def write_model_folder(model: StoredModel, folder: Path) -> None:
    """The same weights and tokenizer, and the plain graph of them. Raises ValueError for models
    whose plain graph cannot be written."""
    info = model.info
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        shutil.copyfile(model.folder / name, folder / name)
    (folder / "model.onnx").write_bytes(plain_bert(model, output="last_hidden_state"))
    (folder / "1_Pooling").mkdir()
    (folder / "2_Normalize").mkdir()
    parts = {
        "tokenizer_config.json": {
            "tokenizer_class": "BertTokenizerFast",
            "model_max_length": info.max_tokens,
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "mask_token": "[MASK]",
        },
        "special_tokens_map.json": {
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "mask_token": "[MASK]",
        },
        "modules.json": [
            {"idx": 0, "name": "0", "path": "", "type": _module("Transformer")},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": _module("Pooling")},
            {"idx": 2, "name": "2", "path": "2_Normalize", "type": _module("Normalize")},
        ],
        "sentence_bert_config.json": {"max_seq_length": info.max_tokens, "do_lower_case": False},
        "1_Pooling/config.json": {
            "word_embedding_dimension": info.dim,
            "pooling_mode_cls_token": False,
            "pooling_mode_mean_tokens": True,
        },
    }
    for name, content in parts.items():
        (folder / name).write_text(json.dumps(content, indent=2))


def _module(name: str) -> str:
    return f"sentence_transformers.models.{name}"
