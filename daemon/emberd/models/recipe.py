"""How a model turns tokens into one vector, as its own files say: pooling, window, prompts."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emberd.errors import ModelInvalidError
from emberd.models.bert.config import BERT_TYPES
from emberd.models.catalog import CatalogEntry
from emberd.models.info import CONFIG_FILE, Pooling

__all__ = ["ONNX_PLACES", "Recipe", "is_bert", "read_json", "read_licence", "read_recipe"]

# Where exports lie, best first.
ONNX_PLACES = ("model.onnx", "onnx/model.onnx")

_MODULES_WE_BUILD = {"Transformer", "Pooling", "Normalize"}
_POOLINGS: Mapping[str, Pooling] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
}
# "No limit" in tokenizer_config.json is written as a huge number.
_SENSIBLE_TOKENS = 1 << 20


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the files say; None where they say nothing."""

    pooling: Pooling | None
    max_tokens: int | None
    prompts: Mapping[str, str]


def read_recipe(folder: Path, entry: CatalogEntry | None) -> Recipe:
    """The recipe in a folder of a sentence-embedding model; the catalog fills what is not said.

    Raises ModelInvalidError for a pooling or a module that emberd does not build.
    """
    _refuse_unknown_modules(folder)
    pooling = _pooling(folder)
    options = read_json(folder / "config_sentence_transformers.json")
    prompts = {k: v for k, v in (options.get("prompts") or {}).items() if isinstance(v, str) and v}
    if entry is None:
        return Recipe(pooling, _max_tokens(folder), prompts)
    return Recipe(
        pooling or entry.pooling,
        min(_max_tokens(folder) or entry.max_tokens, entry.max_tokens),
        prompts or dict(entry.prompts),
    )


def is_bert(folder: Path) -> bool:
    """Whether config.json names an architecture that emberd builds from its weights."""
    return read_json(folder / CONFIG_FILE).get("model_type") in BERT_TYPES


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; an absent file is an empty one. Raises ModelInvalidError when it is broken."""
    try:
        value = json.loads(path.read_bytes()) if path.is_file() else {}
    except (OSError, ValueError) as exc:
        raise ModelInvalidError(f"{path} cannot be read: {exc}. Correct the file.") from exc
    if not isinstance(value, dict):
        raise ModelInvalidError(f"{path} holds no JSON object. Correct the file.")
    return value


def read_licence(folder: Path) -> str | None:
    """The licence that the model card (README.md) names at its top."""
    card = folder / "README.md"
    if not card.is_file():
        return None
    head = card.read_text("utf-8", "replace")[:10_000]
    found = re.search(r"\A---\n(?:.*\n)*?license:\s*['\"]?([\w.+-]+)", head)
    return found[1] if found else None


def _refuse_unknown_modules(folder: Path) -> None:
    path = folder / "modules.json"
    if not path.is_file():
        return
    try:
        kinds = [str(module["type"]).rpartition(".")[2] for module in json.loads(path.read_bytes())]
    except (ValueError, TypeError, KeyError) as exc:
        raise ModelInvalidError(f"{path} cannot be read: {exc}. Correct the file.") from exc
    unknown = [kind for kind in kinds if kind not in _MODULES_WE_BUILD]
    if unknown:
        raise ModelInvalidError(
            f"modules.json asks for {', '.join(unknown)}, which emberd does not build. "
            "Give it an ONNX export with a pooled output named 'sentence_embedding'.",
            details={"modules": unknown},
        )


def _pooling(folder: Path) -> Pooling | None:
    path = next((p for p in sorted(folder.glob("*Pooling/config.json"))), None)
    if path is None:
        return None
    options = read_json(path)
    modes = [key for key, on in options.items() if key.startswith("pooling_mode_") and on is True]
    if isinstance(mode := options.get("pooling_mode"), str):  # how newer files say it
        modes = [f"pooling_mode_{mode}_token{'' if mode == 'cls' else 's'}"]
    if len(modes) != 1 or modes[0] not in _POOLINGS:
        raise ModelInvalidError(
            f"{path.parent.name}/config.json asks for {' + '.join(modes) or 'no pooling'}; emberd "
            "builds mean and CLS pooling. Give it an ONNX export with a pooled output named "
            "'sentence_embedding'.",
            details={"pooling": modes},
        )
    if options.get("include_prompt", True) is False:
        raise ModelInvalidError(
            f"{path.parent.name}/config.json leaves the prompt's tokens out of the pooling, which "
            "emberd does not do."
        )
    return _POOLINGS[modes[0]]


def _max_tokens(folder: Path) -> int | None:
    for pattern, key in (
        ("sentence_*_config.json", "max_seq_length"),
        ("tokenizer_config.json", "model_max_length"),
    ):
        for path in sorted(folder.glob(pattern)):
            value = read_json(path).get(key)
            if isinstance(value, int) and 0 < value < _SENSIBLE_TOKENS:
                return value
    return None
