"""BERT-family weights under one set of names, whichever head or age the checkpoint has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from emberd.errors import ModelInvalidError
from emberd.models.bert.config import BertConfig
from emberd.models.safetensors import FloatArray, SafeTensors, write_safetensors

__all__ = [
    "DISTANCES",
    "EMBEDDINGS",
    "layer_prefix",
    "moved_value_bias",
    "place_embeddings",
    "write_bert_weights",
]

EMBEDDINGS = "embeddings"
DISTANCES = "encoder.relative_attention_bias.weight"
_PREFIXES = ("", "bert.", "roberta.", "mpnet.", "model.", "0.auto_model.")
# Checkpoints converted from TensorFlow keep its names for LayerNorm.
_OLD_NAMES = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
# MPNet's names of the same layers.
_MPNET_NAMES = {
    "attention.self.query.": "attention.attn.q.",
    "attention.self.key.": "attention.attn.k.",
    "attention.self.value.": "attention.attn.v.",
    "attention.output.dense.": "attention.attn.o.",
    "attention.output.LayerNorm.": "attention.LayerNorm.",
}


def layer_prefix(layer: int) -> str:
    """`encoder.layer.3`, for example."""
    return f"encoder.layer.{layer}"


def write_bert_weights(source: SafeTensors, config: BertConfig, target: Path) -> None:
    """Write the encoder's tensors, and no others, as float32 to `target`.

    Linear weights keep the checkpoint's layout, (out, in). Raises ModelInvalidError for a tensor
    that is missing or has another shape than the configuration says.
    """
    shapes = dict(_shapes(config))
    found = _names_in(source, shapes)
    for name, shape in shapes.items():
        actual = source.slots[found[name]].shape
        if actual != shape:
            raise ModelInvalidError(
                f"The tensor {found[name]!r} has the shape {list(actual)} and config.json says "
                f"{list(shape)}. The files are not of one model; download it again.",
                details={"tensor": found[name]},
            )

    def read(name: str) -> FloatArray:
        return source.floats(found[name])

    write_safetensors(target, shapes, read)


def moved_value_bias(weights: SafeTensors, attention: str) -> FloatArray:
    """The bias (hidden,) of an attention's output layer with that of the values in it, which may
    then be left out: attention weights sum to 1."""
    value = weights.floats(f"{attention}.self.value.bias").astype(np.float64)
    weight = weights.floats(f"{attention}.output.dense.weight").astype(np.float64)
    moved = weights.floats(f"{attention}.output.dense.bias") + weight @ value
    return moved.astype(np.float32)


def place_embeddings(weights: SafeTensors, config: BertConfig) -> FloatArray:
    """What each token gets for its place, (places, hidden): its position and token type 0."""
    table = weights.floats(f"{EMBEDDINGS}.position_embeddings.weight")[config.position_offset :]
    if config.token_types:
        table = table + weights.floats(f"{EMBEDDINGS}.token_type_embeddings.weight")[0]
    return table


def _names_in(source: SafeTensors, shapes: dict[str, tuple[int, ...]]) -> dict[str, str]:
    for prefix in _PREFIXES:
        names = {name: _name_in(source, prefix + name) for name in shapes}
        if names[f"{EMBEDDINGS}.word_embeddings.weight"] is None:
            continue
        missing = [prefix + name for name, actual in names.items() if actual is None]
        if missing:
            raise ModelInvalidError(
                f"{source.path.name} lacks {len(missing)} of the encoder's tensors, the first "
                f"is {missing[0]!r}. Download the model again.",
                details={"tensors": missing[:8]},
            )
        return {name: actual for name, actual in names.items() if actual is not None}
    raise ModelInvalidError(
        f"{source.path.name} holds no BERT encoder (no tensor "
        f"'{EMBEDDINGS}.word_embeddings.weight'). Give an ONNX export of the model instead."
    )


def _name_in(source: SafeTensors, name: str) -> str | None:
    if name in source.slots:
        return name
    for new, old in _OLD_NAMES.items():
        if name.endswith(new) and (older := name.removesuffix(new) + old) in source.slots:
            return older
    for usual, other in _MPNET_NAMES.items():
        if usual in name and (found := name.replace(usual, other)) in source.slots:
            return found
    return None


def _shapes(config: BertConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    hidden = config.hidden
    yield f"{EMBEDDINGS}.word_embeddings.weight", (config.vocabulary, hidden)
    yield f"{EMBEDDINGS}.position_embeddings.weight", (config.positions, hidden)
    if config.token_types:
        yield f"{EMBEDDINGS}.token_type_embeddings.weight", (config.token_types, hidden)
    if config.distance_buckets:
        yield DISTANCES, (config.distance_buckets, config.heads)
    yield from _pair(f"{EMBEDDINGS}.LayerNorm", (hidden,))
    for layer in range(config.layers):
        prefix = layer_prefix(layer)
        for part in ("query", "key", "value"):
            yield from _pair(f"{prefix}.attention.self.{part}", (hidden, hidden))
        yield from _pair(f"{prefix}.attention.output.dense", (hidden, hidden))
        yield from _pair(f"{prefix}.attention.output.LayerNorm", (hidden,))
        yield from _pair(f"{prefix}.intermediate.dense", (config.intermediate, hidden))
        yield from _pair(f"{prefix}.output.dense", (hidden, config.intermediate))
        yield from _pair(f"{prefix}.output.LayerNorm", (hidden,))


def _pair(name: str, shape: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[:1]
