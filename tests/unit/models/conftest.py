"""Small real models for the tests of emberd.models."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from emberd.models import ModelStore

DATA = Path(__file__).resolve().parents[2] / "data"
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "text", "the", "same", "window", "short", "long"]


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of the reference files."""
    return DATA


@pytest.fixture(autouse=True)
def no_hub_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep what this machine's own Hub cache and settings hold out of the tests."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    for name in [name for name in os.environ if name.startswith("HF_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "store")


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """A complete model folder, as its author would publish it, around a tiny model."""

    def make(kind: str = "tiny-bert", name: str = "tiny", pooling: str = "mean") -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        for file in ("config.json", "model.safetensors"):
            shutil.copyfile(DATA / kind / file, folder / file)
        write_recipe(folder, pooling)
        write_tokenizer(folder)
        return folder

    return make


def write_recipe(folder: Path, pooling: str) -> None:
    (folder / "1_Pooling").mkdir(exist_ok=True)
    key = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token"}[pooling]
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({key: True}))
    kinds = ("Transformer", "Pooling", "Normalize")
    modules = [{"type": f"sentence_transformers.models.{kind}"} for kind in kinds]
    (folder / "modules.json").write_text(json.dumps(modules))


def write_tokenizer(folder: Path) -> None:
    tokenizer = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
