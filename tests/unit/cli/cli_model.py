"""A tiny model's folder, as its author would publish it: enough for a real daemon to serve."""

from __future__ import annotations

import shutil
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, processors

DATA = Path(__file__).resolve().parents[2] / "data" / "tiny-bert"
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"word{number}" for number in range(60))]


def write_model_folder(folder: Path) -> Path:
    """Weights from the tests' data, and a tokenizer that knows `word0` to `word59`."""
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    for file in ("config.json", "model.safetensors"):
        shutil.copyfile(DATA / file, folder / file)
    words = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
