"""The graph of a BERT encoder for ONNX Runtime's CPU provider, pooled and normalised inside.

Its form follows what was measured against the plain export (64 to 1,024 tokens, one thread):
- Rows are time-major, [time * batch, hidden]: `FusedMatMul` with `transBatch` then reads heads in
  place, and three of the four transposes of attention are gone.
- Linear layers are `Gemm` with the checkpoint's own (out, in) weights: bias inside, packed once at
  load, no rewritten copy on disk. `Add` + `LayerNormalization`, never SkipLayerNormalization.
- The key's bias is left out (it shifts all scores of a query alike, and softmax does not see that)
  and the value's is moved through the output layer: two passes a layer less, the same numbers.
- A batch without padding does not pay for the mask: `If` picks a softmax without it (the mask cost
  5% at 256 tokens; the `If` costs under 1%).
- For CLS pooling the last layer computes the first token only.
- MPNet's scores of distances are gathered once a run, for all layers.
"""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnx import TensorProto, helper

from emberd.models.bert.config import BertConfig
from emberd.models.bert.distances import scores_of_distances, write_distances
from emberd.models.bert.weights import (
    DISTANCES,
    EMBEDDINGS,
    layer_prefix,
    moved_value_bias,
    place_embeddings,
)
from emberd.models.graph_writer import MICROSOFT, GraphWriter
from emberd.models.info import Pooling
from emberd.models.safetensors import SafeTensors

__all__ = ["BertBuilder", "build_bert_graph", "build_tapped_graph"]

# exp() of a score this low is exactly 0 in float32, and the number still fits float16.
_MASKED = -30_000.0


def build_bert_graph(
    config: BertConfig, weights: SafeTensors, pooling: Pooling, *, normalize: bool
) -> onnx.ModelProto:
    """The model: `input_ids`, `attention_mask` int64 [batch, time] -> `embedding` [batch, hidden].

    `weights` is the file that `write_bert_weights` wrote; the model names it by file name, so both
    belong in one folder. Rows have L2 norm 1 when `normalize` (an all-zero row stays zero).
    """
    return BertBuilder(config, weights, pooling).build(normalize)


def build_tapped_graph(
    config: BertConfig, weights: SafeTensors, pooling: Pooling
) -> tuple[onnx.ModelProto, dict[str, str]]:
    """The same model with one more output a site, and site -> output.

    A site is where linear layers take their input: `encoder.layer.0.attention.self`,
    `...attention.output`, `...intermediate` and `...output`, [time * batch, channels] each.
    """
    builder = BertBuilder(config, weights, pooling)
    model = builder.build(normalize=True)
    for value in builder.operands.values():
        model.graph.output.append(helper.make_tensor_value_info(value, TensorProto.FLOAT, None))
    return model, builder.operands


class BertBuilder:
    """Builds the graph node by node; a subclass may compute the linear layers otherwise."""

    def __init__(self, config: BertConfig, weights: SafeTensors, pooling: Pooling) -> None:
        self.config = config
        self.weights = weights
        self.pooling = pooling
        self.graph = GraphWriter(weights)
        self.operands: dict[str, str] = {}

    inputs: tuple[str, ...] = ("input_ids", "attention_mask")

    def build(self, normalize: bool) -> onnx.ModelProto:
        """The finished model; call it once."""
        graph = self.graph
        self.shape_inputs()
        self.score_distances()
        hidden = self.embed()
        for layer in range(self.config.layers):
            is_last = layer == self.config.layers - 1
            hidden = self.layer(layer, hidden, first_only=is_last and self.pooling == "cls")
        pooled = self.pool(hidden, normalize)
        if normalize:
            graph.op("LpNormalization", pooled, axis=-1, p=2)
        graph.rename_last("embedding")
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "time"])
            for name in self.inputs
        ]
        output = helper.make_tensor_value_info(
            "embedding", TensorProto.FLOAT, ["batch", self.config.hidden]
        )
        return graph.finish("embedding", inputs, [output])

    def shape_inputs(self) -> None:
        """The values that every layer uses: shapes, and the mask in both its forms."""
        graph, config = self.graph, self.config
        self.ids = graph.op("Transpose", "input_ids", perm=[1, 0])
        self.time = graph.op("Shape", self.ids, start=0, end=1)
        self.batch = graph.op("Shape", self.ids, start=1, end=2)
        self.rows = self.ints(-1, config.hidden)
        self.by_head = graph.op(
            "Concat", self.time, self.batch, self.ints(config.heads, config.head_dim), axis=0
        )
        self.read_mask()

    def read_mask(self) -> None:
        """The mask as factors and as an addend, and whether it masks anything."""
        graph = self.graph
        self.mask = graph.op("Cast", "attention_mask", to=TensorProto.FLOAT)
        absent = graph.op("Sub", self.mask, self.float(1.0))
        bias = graph.op("Mul", absent, self.float(-_MASKED))
        self.mask_bias = graph.op("Unsqueeze", bias, self.ints(1, 2))  # [batch, 1, 1, time]
        least = graph.op("ReduceMin", "attention_mask", keepdims=0)
        self.is_padded = graph.op("Less", least, graph.constant(1, np.int64))

    def embed(self) -> str:
        """Word + position + type 0 -> [time * batch, hidden]."""
        graph, config = self.graph, self.config
        words = graph.op("Gather", graph.weight(f"{EMBEDDINGS}.word_embeddings.weight"), self.ids)
        fixed = place_embeddings(self.weights, config)
        places = graph.op(
            "Slice",
            graph.constant(fixed[:, None, :], np.float32),
            self.ints(0),
            self.time,
            self.ints(0),
        )
        summed = graph.op("Add", words, places)
        return self.norm(graph.op("Reshape", summed, self.rows), f"{EMBEDDINGS}.LayerNorm")

    def layer(self, layer: int, hidden: str, *, first_only: bool) -> str:
        prefix = layer_prefix(layer)
        context = self.attention(f"{prefix}.attention", hidden, first_only)
        if first_only:
            hidden = self.first_rows(hidden)
        hidden = self.norm(
            self.graph.op("Add", context, hidden), f"{prefix}.attention.output.LayerNorm"
        )
        outside = self.operand(hidden, f"{prefix}.intermediate")
        inside = self.activate(self.linear(outside, f"{prefix}.intermediate.dense"))
        outer = self.linear(self.operand(inside, f"{prefix}.output"), f"{prefix}.output.dense")
        return self.norm(self.graph.op("Add", outer, hidden), f"{prefix}.output.LayerNorm")

    def attention(self, prefix: str, hidden: str, first_only: bool) -> str:
        graph, config = self.graph, self.config
        rows = self.operand(hidden, f"{prefix}.self")
        asking = self.first_rows(rows) if first_only else rows
        query = self.linear(asking, f"{prefix}.self.query")
        key = self.key_or_value(rows, f"{prefix}.self.key")
        value = self.key_or_value(rows, f"{prefix}.self.value")
        query_shape = self.ints(1, -1, config.heads, config.head_dim) if first_only else ""
        scores = graph.op(  # [batch, heads, time, time]
            "FusedMatMul",
            graph.op("Reshape", query, query_shape or self.by_head),
            graph.op("Reshape", key, self.by_head),
            domain=MICROSOFT,
            alpha=1.0 / math.sqrt(config.head_dim),
            transBatchA=1,
            transBatchB=1,
            transB=1,
        )
        context = graph.op(  # [batch, heads, time, head_dim]
            "FusedMatMul",
            self.softmax(self.with_distances(scores, first_only)),
            graph.op("Reshape", value, self.by_head),
            domain=MICROSOFT,
            transBatchB=1,
        )
        turned = graph.op("Transpose", context, perm=[2, 0, 1, 3])
        return self.attended(graph.op("Reshape", turned, self.rows), prefix)

    def attended(self, context: str, prefix: str) -> str:
        """The output layer of attention."""
        graph = self.graph
        rows = self.operand(context, f"{prefix}.output")
        bias = graph.constant(moved_value_bias(self.weights, prefix), np.float32)
        return graph.op("Gemm", rows, graph.weight(f"{prefix}.output.dense.weight"), bias, transB=1)

    def score_distances(self) -> None:
        """[heads, time, time] for all layers: a score for how far the key is from the query."""
        if self.config.distance_buckets:
            scores = scores_of_distances(self.weights.floats(DISTANCES), self.config)
            table = self.graph.constant(scores, np.float32)
            self.distances = write_distances(self.graph, table, self.time, self.config.max_tokens)

    def with_distances(self, scores: str, first_only: bool) -> str:
        """The scores with those of the distances, where the model has any."""
        if not self.config.distance_buckets:
            return scores
        graph, added = self.graph, self.distances
        if first_only:
            added = graph.op("Slice", added, self.ints(0), self.ints(1), self.ints(1))
        return graph.op("Add", scores, added)

    def softmax(self, scores: str) -> str:
        masked, plain = f"{scores}_masked", f"{scores}_plain"
        biased = helper.make_node("Add", [scores, self.mask_bias], [f"{scores}_biased"])
        then = self.graph.branch(
            masked, [biased, helper.make_node("Softmax", biased.output, [masked], axis=-1)]
        )
        otherwise = self.graph.branch(plain, [helper.make_node("Softmax", [scores], [plain])])
        return self.graph.op("If", self.is_padded, then_branch=then, else_branch=otherwise)

    def pool(self, hidden: str, normalize: bool) -> str:
        graph = self.graph
        if self.pooling == "cls":
            return hidden
        cube = graph.op("Concat", self.time, self.batch, self.ints(self.config.hidden), axis=0)
        by_time = graph.op("Reshape", hidden, cube)
        weights = graph.op("Unsqueeze", self.mask, self.ints(1))
        summed = graph.op("FusedMatMul", weights, by_time, domain=MICROSOFT, transBatchB=1)
        total = graph.op("Squeeze", summed, self.ints(1))
        if normalize:
            return total  # the norm takes the division away
        counts = graph.op("ReduceSum", self.mask, self.ints(1))
        return graph.op("Div", total, graph.op("Max", counts, self.float(1.0)))

    def first_rows(self, hidden: str) -> str:
        """The rows of each text's first token: time-major puts them in front."""
        return self.graph.op("Slice", hidden, self.ints(0), self.batch, self.ints(0))

    def operand(self, rows: str, site: str) -> str:
        """What the linear layers of a site multiply with."""
        self.operands[site] = rows
        return rows

    def linear(self, rows: str, name: str) -> str:
        """The layer's output for the operand `rows`."""
        graph = self.graph
        weight, bias = graph.weight(f"{name}.weight"), graph.weight(f"{name}.bias")
        return graph.op("Gemm", rows, weight, bias, transB=1)

    def key_or_value(self, rows: str, name: str) -> str:
        """The layer without its bias, of which the scores know nothing or the output knows all."""
        return self.graph.op("Gemm", rows, self.graph.weight(f"{name}.weight"), transB=1)

    def norm(self, rows: str, name: str) -> str:
        graph = self.graph
        scale, bias = graph.weight(f"{name}.weight"), graph.weight(f"{name}.bias")
        return graph.op(
            "LayerNormalization", rows, scale, bias, axis=-1, epsilon=self.config.epsilon
        )

    def activate(self, rows: str) -> str:
        if self.config.gelu is None:
            return self.graph.op("Relu", rows)
        return self.graph.op("Gelu", rows, approximate=self.config.gelu)

    def ints(self, *values: int) -> str:
        return self.graph.constant(values, np.int64)

    def float(self, value: float) -> str:
        return self.graph.constant(value, np.float32)
