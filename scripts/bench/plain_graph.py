"""BERT as an exporter writes it down: the graph that emberd's own is held against.

Batch-major, linear layers as MatMul and Add, GELU by its formula, mean pooling and L2 norm at the
end. ONNX Runtime may optimise it as it does any graph.
"""

from __future__ import annotations

import json
import math
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import ArrayLike, DTypeLike
from onnx import TensorProto, helper, numpy_helper

from emberd.models import StoredModel
from emberd.models.safetensors import SafeTensors

__all__ = ["plain_bert"]

Output = Literal["embedding", "last_hidden_state"]

_OPSET = 17


def plain_bert(model: StoredModel, output: Output = "embedding") -> bytes:
    """A serialised ONNX model of a stored BERT: `input_ids`, `attention_mask` int64 [batch, time]
    -> `embedding` float32 [batch, hidden], or `last_hidden_state` [batch, time, hidden].

    Raises ValueError for other models.
    """
    config = json.loads((model.folder / "config.json").read_bytes())
    if model.info.family != "bert" or config["model_type"] != "bert":
        raise ValueError(f"{model.info.name} is no BERT whose plain graph could be written")
    if model.info.pooling != "mean" or config["hidden_act"] != "gelu":
        raise ValueError(f"{model.info.name} has another pooling than the mean, or no GELU")
    with SafeTensors(model.folder / "model.safetensors") as weights:
        serialised: bytes = _Bert(config, weights).build(output).SerializeToString()
    return serialised


class _Bert:
    def __init__(self, config: dict[str, Any], weights: SafeTensors) -> None:
        self.hidden: int = config["hidden_size"]
        self.layers: int = config["num_hidden_layers"]
        self.heads: int = config["num_attention_heads"]
        self.epsilon: float = config["layer_norm_eps"]
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def build(self, output: Output) -> onnx.ModelProto:
        mask = self.op("Cast", "attention_mask", to=TensorProto.FLOAT)
        absent = self.op("Sub", self.constant(1.0), self.op("Unsqueeze", mask, self.ints(1, 2)))
        bias = self.op("Mul", absent, self.constant(float(np.finfo(np.float32).min)))
        rows = self.embeddings()
        for layer in range(self.layers):
            rows = self.layer(f"encoder.layer.{layer}", rows, bias)
        if output == "embedding":
            self.pool(rows, mask)
        self.nodes[-1].output[0] = output
        ids = [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "time"])
            for name in ("input_ids", "attention_mask")
        ]
        shape: list[str | int | None] = [
            "batch",
            *(["time"] if output == "last_hidden_state" else []),
            self.hidden,
        ]
        out = helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)
        graph = helper.make_graph(self.nodes, "plain_bert", ids, [out], self.constants)
        opset = [helper.make_opsetid("", _OPSET)]
        return helper.make_model(graph, opset_imports=opset, ir_version=8)

    def embeddings(self) -> str:
        words = self.op("Gather", self.weight("embeddings.word_embeddings.weight"), "input_ids")
        length = self.op("Shape", "input_ids", start=1, end=2)
        table = self.weight("embeddings.position_embeddings.weight")
        places = self.op("Slice", table, self.ints(0), length, self.ints(0))
        types = self.weights.floats("embeddings.token_type_embeddings.weight")[0]
        summed = self.op("Add", self.op("Add", words, places), self.constant(types))
        return self.norm(summed, "embeddings.LayerNorm")

    def layer(self, name: str, rows: str, bias: str) -> str:
        attended = self.attention(f"{name}.attention", rows, bias)
        rows = self.norm(self.op("Add", attended, rows), f"{name}.attention.output.LayerNorm")
        inner = self.gelu(self.linear(rows, f"{name}.intermediate.dense"))
        outer = self.linear(inner, f"{name}.output.dense")
        return self.norm(self.op("Add", outer, rows), f"{name}.output.LayerNorm")

    def attention(self, name: str, rows: str, bias: str) -> str:
        query, key, value = (
            self.by_head(self.linear(rows, f"{name}.self.{part}"), turned=part == "key")
            for part in ("query", "key", "value")
        )
        scale = self.constant(math.sqrt(self.hidden // self.heads))
        scores = self.op("Div", self.op("MatMul", query, key), scale)
        shares = self.op("Softmax", self.op("Add", scores, bias), axis=-1)
        context = self.op("Transpose", self.op("MatMul", shares, value), perm=[0, 2, 1, 3])
        joined = self.op("Reshape", context, self.ints(0, 0, self.hidden))
        return self.linear(joined, f"{name}.output.dense")

    def by_head(self, rows: str, *, turned: bool) -> str:
        """[batch, time, hidden] -> [batch, heads, time, head_dim], or its transpose."""
        cut = self.op("Reshape", rows, self.ints(0, 0, self.heads, self.hidden // self.heads))
        return self.op("Transpose", cut, perm=[0, 2, 3, 1] if turned else [0, 2, 1, 3])

    def pool(self, rows: str, mask: str) -> None:
        column = self.op("Unsqueeze", mask, self.ints(2))
        summed = self.op("ReduceSum", self.op("Mul", rows, column), self.ints(1), keepdims=0)
        mean = self.op("Div", summed, self.op("ReduceSum", mask, self.ints(1), keepdims=1))
        self.op("Div", mean, self.op("ReduceL2", mean, axes=[1], keepdims=1))

    def linear(self, rows: str, name: str) -> str:
        weight = self.constant(self.weights.floats(f"{name}.weight").T)
        return self.op("Add", self.op("MatMul", rows, weight), self.weight(f"{name}.bias"))

    def norm(self, rows: str, name: str) -> str:
        scale, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.op("LayerNormalization", rows, scale, bias, axis=-1, epsilon=self.epsilon)

    def gelu(self, rows: str) -> str:
        error = self.op("Erf", self.op("Div", rows, self.constant(math.sqrt(2.0))))
        grown = self.op("Mul", rows, self.op("Add", error, self.constant(1.0)))
        return self.op("Mul", grown, self.constant(0.5))

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        output = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def weight(self, name: str) -> str:
        return self.constant(self.weights.floats(name))

    def ints(self, *values: int) -> str:
        return self.constant(values, np.int64)

    def constant(self, value: ArrayLike, dtype: DTypeLike = np.float32) -> str:
        name = f"constant_{len(self.constants)}"
        array = np.array(value, dtype, order="C")
        self.constants.append(numpy_helper.from_array(array, name))
        return name
