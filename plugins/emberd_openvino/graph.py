"""A BERT encoder in OpenVINO's own operators, pooled and normalised inside.

In the forms that its CPU plugin fuses: MVN for the layer norm, linear layers as MatMul and Add with
the checkpoint's own (out, in) weights, attention as one operator. There is no mask: texts of one
length give the same bits alone and together, which rounding to bfloat16 does not leave to
padded ones (they differ by 8e-6 in cosine).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from emberd.errors import ModelInvalidError
from emberd.models.bert.config import BertConfig
from emberd.models.bert.weights import EMBEDDINGS, layer_prefix, place_embeddings
from emberd.models.info import Pooling
from emberd.models.safetensors import SafeTensors
from emberd_openvino.library import openvino, ops

__all__ = ["bert_model"]


def bert_model(config: BertConfig, weights: SafeTensors, pooling: Pooling) -> openvino.Model:
    """The model: `input_ids` int32 [batch, time], without padding -> `embedding` float32 [batch,
    hidden], rows of length 1. The weights are copied.

    Raises ModelInvalidError for MPNet, whose scores of distances it has no form for.
    """
    if config.distance_buckets:
        raise ModelInvalidError(
            "The openvino plugin does not compute models of MPNet's kind. Use the exact model."
        )
    return _Bert(config, weights, pooling).build()


class _Bert:
    def __init__(self, config: BertConfig, weights: SafeTensors, pooling: Pooling) -> None:
        self.config = config
        self.weights = weights
        self.pooling = pooling

    def build(self) -> openvino.Model:
        self.ids = ops.parameter([-1, -1], np.int32, name="input_ids")
        rows = self.embed()
        for layer in range(self.config.layers):
            rows = self.layer(layer_prefix(layer), rows)
        unit = ops.normalize_l2(self.pool(rows), self.ints(1), 1e-24, "max")
        self.ids.output(0).set_names({"input_ids"})
        unit.output(0).set_names({"embedding"})
        return openvino.Model([unit], [self.ids], "bert")

    def embed(self) -> Any:
        time = ops.gather(ops.shape_of(self.ids), self.ints(1), self.ints(0))
        fixed = self.constant(place_embeddings(self.weights, self.config))
        places = ops.slice(fixed, self.ints(0), time, self.ints(1), self.ints(0))
        table = self.weight(f"{EMBEDDINGS}.word_embeddings.weight")
        words = ops.gather(table, self.ids, self.ints(0))
        return self.norm(ops.add(words, places), f"{EMBEDDINGS}.LayerNorm")

    def layer(self, name: str, rows: Any) -> Any:
        context = self.attention(f"{name}.attention", rows)
        rows = self.norm(ops.add(context, rows), f"{name}.attention.output.LayerNorm")
        inner = self.activate(self.linear(rows, f"{name}.intermediate.dense"))
        outer = self.linear(inner, f"{name}.output.dense")
        return self.norm(ops.add(outer, rows), f"{name}.output.LayerNorm")

    def attention(self, name: str, rows: Any) -> Any:
        query, key, value = (
            self.by_head(self.linear(rows, f"{name}.self.{part}"))
            for part in ("query", "key", "value")
        )
        context = ops.scaled_dot_product_attention(query, key, value)
        turned = ops.transpose(context, self.ints(0, 2, 1, 3))
        joined = ops.reshape(turned, self.ints(0, 0, self.config.hidden), True)
        return self.linear(joined, f"{name}.output.dense")

    def by_head(self, rows: Any) -> Any:
        """[batch, time, hidden] -> [batch, heads, time, head_dim]."""
        shape = self.ints(0, 0, self.config.heads, self.config.head_dim)
        return ops.transpose(ops.reshape(rows, shape, True), self.ints(0, 2, 1, 3))

    def pool(self, rows: Any) -> Any:
        """[batch, time, hidden] -> [batch, hidden]; the norm makes a mean of the sum."""
        if self.pooling == "cls":
            return ops.gather(rows, self.constant(0, np.int64), self.ints(1))
        return ops.reduce_sum(rows, self.ints(1), False)

    def linear(self, rows: Any, name: str) -> Any:
        product = ops.matmul(rows, self.weight(f"{name}.weight"), False, True)
        return ops.add(product, self.weight(f"{name}.bias"))

    def norm(self, rows: Any, name: str) -> Any:
        even = ops.mvn(rows, self.ints(-1), True, self.config.epsilon, "inside_sqrt")
        scaled = ops.multiply(even, self.weight(f"{name}.weight"))
        return ops.add(scaled, self.weight(f"{name}.bias"))

    def activate(self, rows: Any) -> Any:
        if self.config.gelu is None:
            return ops.relu(rows)
        return ops.gelu(rows, "tanh" if self.config.gelu == "tanh" else "erf")

    def weight(self, name: str) -> Any:
        return self.constant(self.weights.floats(name))

    def ints(self, *values: int) -> Any:
        return self.constant(values, np.int64)

    def constant(self, value: ArrayLike, dtype: DTypeLike = np.float32) -> Any:
        return ops.constant(np.array(value, dtype, order="C"))
