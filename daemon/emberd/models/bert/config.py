"""What a BERT-family `config.json` says, checked: what we do not build is refused here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from emberd.errors import ModelInvalidError

__all__ = ["BERT_TYPES", "BertConfig", "read_bert_config"]

# Types whose encoder is BERT's, and whether their positions start after the padding id.
BERT_TYPES = {
    "bert": False,
    "roberta": True,
    "xlm-roberta": True,
    "camembert": True,
    "mpnet": True,
}
# Hugging Face's names of activations -> `approximate` of ONNX's Gelu, or None for Relu.
_ACTIVATIONS = {
    "gelu": "none",
    "gelu_python": "none",
    "gelu_new": "tanh",
    "gelu_fast": "tanh",
    "gelu_pytorch_tanh": "tanh",
    "relu": None,
}


@dataclass(frozen=True, slots=True)
class BertConfig:
    """The shape of a BERT encoder; sizes are counts of channels, layers, ids."""

    hidden: int
    layers: int
    heads: int
    intermediate: int
    vocabulary: int
    positions: int
    position_offset: int
    """Row of the position table that the first token takes."""
    token_types: int
    """0 means that there are none."""
    epsilon: float
    gelu: str | None
    """`approximate` of ONNX's Gelu; None means Relu."""
    distance_buckets: int = 0
    """Of the distances between two tokens that MPNet adds a learnt score for; 0 means none."""

    @property
    def head_dim(self) -> int:
        return self.hidden // self.heads

    @property
    def max_tokens(self) -> int:
        return self.positions - self.position_offset


def read_bert_config(values: Mapping[str, Any]) -> BertConfig:
    """The configuration in a parsed `config.json`.

    Raises ModelInvalidError for another architecture or an option that would change the numbers.
    """
    kind = values.get("model_type")
    if kind not in BERT_TYPES:
        raise _invalid(f"its architecture is {kind!r}", "model_type")
    positions = values.get("position_embedding_type") or "absolute"
    if positions != "absolute":
        raise _invalid(f"its positions are {positions!r}, not absolute", "position_embedding_type")
    if values.get("is_decoder") or values.get("add_cross_attention"):
        raise _invalid("it is a decoder", "is_decoder")
    activation = values.get("hidden_act", "gelu")
    if activation not in _ACTIVATIONS:
        raise _invalid(f"its activation is {activation!r}", "hidden_act")
    config = BertConfig(
        hidden=_count(values, "hidden_size"),
        layers=_count(values, "num_hidden_layers"),
        heads=_count(values, "num_attention_heads"),
        intermediate=_count(values, "intermediate_size"),
        vocabulary=_count(values, "vocab_size"),
        positions=_count(values, "max_position_embeddings"),
        position_offset=_count(values, "pad_token_id", 1, least=0) + 1 if BERT_TYPES[kind] else 0,
        token_types=0 if kind == "mpnet" else _count(values, "type_vocab_size", 2),
        epsilon=float(values.get("layer_norm_eps", 1e-12)),
        gelu=_ACTIVATIONS[activation],
        distance_buckets=_distance_buckets(values) if kind == "mpnet" else 0,
    )
    if config.hidden % config.heads:
        raise _invalid("its hidden size is not a multiple of its heads", "num_attention_heads")
    if config.max_tokens < 1:
        raise _invalid("it has no positions left for tokens", "max_position_embeddings")
    return config


def _distance_buckets(values: Mapping[str, Any]) -> int:
    """Half of them are for either direction, and half of those for single distances."""
    buckets = _count(values, "relative_attention_num_buckets", 32)
    if buckets % 4:
        raise _invalid(f"its distance buckets are {buckets}", "relative_attention_num_buckets")
    return buckets


def _count(values: Mapping[str, Any], key: str, default: int | None = None, least: int = 1) -> int:
    value = values.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise _invalid(f"{key!r} is {value!r}", key)
    return value


def _invalid(why: str, field: str) -> ModelInvalidError:
    return ModelInvalidError(
        f"emberd cannot build this model from config.json: {why}. It builds BERT-family encoders "
        f"({', '.join(BERT_TYPES)}); for another architecture give it an ONNX export.",
        details={"field": field},
    )
