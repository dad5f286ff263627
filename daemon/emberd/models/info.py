"""What the store knows about a model: `emberd.json`, and its fingerprint."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from emberd.errors import ModelInvalidError

__all__ = [
    "BUILDER",
    "CONFIG_FILE",
    "GRAPH_FILE",
    "INFO_FILE",
    "INT8_BUILDER",
    "TOKENIZER_FILE",
    "WEIGHTS_FILE",
    "Accuracy",
    "Floor",
    "ModelInfo",
    "Pooling",
    "Precision",
    "StoredModel",
    "fingerprint_of",
    "read_info",
    "write_info",
]

CONFIG_FILE = "config.json"
INFO_FILE = "emberd.json"
GRAPH_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"
WEIGHTS_FILE = "model.safetensors"
# Raised with every change of the graph that emberd builds for the BERT family; a pull then
# builds anew what an older emberd built.
BUILDER = 1
# The same for the int8 form, with every change of how it is quantised.
INT8_BUILDER = 1

Pooling = Literal["mean", "cls"]
Precision = Literal["exact", "int8"]


class Accuracy(msgspec.Struct, frozen=True, kw_only=True):
    """A quantised model beside the exact one, on texts that it was not calibrated on."""

    mean_cosine: float
    least_cosine: float
    texts: int
    speedup: float
    """How many times as quick, on one core of the machine that made it."""


@dataclass(frozen=True, slots=True)
class Floor:
    """The cosines to the exact model that a quantised one must reach to be installed."""

    mean: float = 0.999
    least: float = 0.995


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A stored model, as `emberd.json` says it. Unknown fields are ignored."""

    name: str
    dim: int
    max_tokens: int
    """Longer texts are truncated; special tokens count."""
    pooling: Pooling
    normalize: bool = True
    prompts: dict[str, str] = {}
    """Named prompts, for example {"query": "query: ", "passage": "passage: "}."""
    licence: str = "unknown"
    source: str
    """Where its files came from, for people."""
    precision: Precision = "exact"
    accuracy: Accuracy | None = None
    """None for an exact model."""
    exact_fingerprint: str = ""
    """Of the model that this one was quantised from."""
    family: Literal["bert", "onnx"]
    """`bert`: built by emberd, its graph is in final form, so load it with graph optimisations
    off. `onnx`: another tool's export, load it with all of them."""
    layers: int = 0
    hidden: int = 0
    heads: int = 0
    """0 where an export does not say."""
    weights_sha256: str
    """Of the weights as they came, whatever graph is built from them."""
    files: dict[str, str]
    """Every other file of the folder -> its sha256."""
    builder: int = 0
    """Which revision of emberd's own graph it has; 0 for an export."""
    fingerprint: str
    """32 hex characters: equal fingerprints give equal vectors (see `fingerprint_of`)."""
    version: int = 1


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model that lies verified in the store."""

    info: ModelInfo
    folder: Path

    @property
    def graph(self) -> Path:
        """The ONNX graph: `input_ids`, `attention_mask` [B, T] -> `embedding` [B, dim]."""
        return self.folder / GRAPH_FILE

    @property
    def tokenizer(self) -> Path:
        return self.folder / TOKENIZER_FILE

    @property
    def size_bytes(self) -> int:
        return sum((self.folder / name).stat().st_size for name in self.info.files)


def fingerprint_of(
    *,
    weights_sha256: str,
    tokenizer_sha256: str,
    pooling: Pooling,
    normalize: bool,
    max_tokens: int,
    numerics: str = "f32",
) -> str:
    """32 hex characters over everything that decides a vector.

    The graph's own bytes are not in it: a better graph over the same weights gives the same
    vectors, and cached ones stay good.
    """
    parts = {
        "max_tokens": max_tokens,
        "normalize": normalize,
        "numerics": numerics,
        "pooling": pooling,
        "tokenizer": tokenizer_sha256,
        "weights": weights_sha256,
    }
    return hashlib.blake2b(msgspec.json.encode(parts, order="sorted"), digest_size=16).hexdigest()


def read_info(folder: Path) -> ModelInfo:
    """The folder's `emberd.json`; raises ModelInvalidError when it cannot be used."""
    path = folder / INFO_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=ModelInfo)
    except (OSError, msgspec.MsgspecError) as exc:
        raise ModelInvalidError(
            f"{path} cannot be read: {exc}. Remove the folder and pull the model again.",
            details={"path": str(path)},
        ) from exc


def write_info(folder: Path, info: ModelInfo) -> None:
    """Write `emberd.json` into the folder."""
    (folder / INFO_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(info)) + b"\n")
