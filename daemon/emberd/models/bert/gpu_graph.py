"""The graph of a BERT encoder for ONNX Runtime's CUDA provider: float16 with float32 at the end.

No GPU was at hand when this was written: forms were chosen from what the provider's documentation
and source say, and `scripts/bench --only gpu` is there to compare them. What is known of them is
their numbers, on the CPU provider and against a reference written in numpy.

- Rows are batch-major, [batch, time, hidden]. Inputs are ids and lengths as int32: a quarter of the
  bytes of int64 ids and an int64 mask.
- Pooling and the L2 norm compute in float32, and so does every LayerNormalization inside; for
  SkipLayerNormalization the session has to ask for that (`enable_skip_layer_norm_strict_mode`).
- Queries, keys and values are three products that attention takes as they lie. One product for all
  three would have to be split by a copy, which moves more bytes than it saves.
- A batch without padding brings its mask all the same: flash attention takes none, and would need
  a second graph. `packed` needs none in any batch.
- The scale lies in the query's weights, the key's bias is left out and the value's is moved through
  the output layer (as in the CPU's graph), so attention adds no bias and copies nothing.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from emberd.errors import ModelInvalidError
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
from emberd.models.safetensors import FloatArray, SafeTensors

__all__ = ["VARIANTS", "FloatType", "Variant", "build_gpu_graph"]

FloatType = Literal["float16", "float32"]
Variant = Literal["plain", "fused", "packed"]
VARIANTS: tuple[Variant, ...] = ("plain", "fused", "packed")

# exp() of a score this low is exactly 0, and the number fits float16.
_MASKED = -30_000.0
_SMALLEST_NORM = 1e-12
_ONNX_FLOATS = {"float16": TensorProto.FLOAT16, "float32": TensorProto.FLOAT}


def build_gpu_graph(
    config: BertConfig,
    weights: SafeTensors,
    pooling: Pooling,
    *,
    variant: Variant = "fused",
    float_type: FloatType = "float16",
) -> onnx.ModelProto:
    """The model, weights inside: `input_ids` int32 [batch, time], `lengths` int32 [batch] (tokens a
    row, 1 or more) -> `embedding` float32 [batch, hidden], rows of L2 norm 1.

    `plain` uses ONNX's own operators only, `fused` attention and normalisation in one operator
    each, `packed` the same on the tokens alone, without padding. float32 is for tests on the CPU
    provider, which has no operators for `packed`. Attention of MPNet, and of heads whose size is no
    multiple of 8, is plain in `fused`, too.

    Raises ModelInvalidError where a weight does not fit float16, and for MPNet as `packed`.
    """
    return _Builder(config, weights, pooling, variant, float_type).build()


class _Builder:
    def __init__(
        self,
        config: BertConfig,
        weights: SafeTensors,
        pooling: Pooling,
        variant: Variant,
        float_type: FloatType,
    ) -> None:
        self.config = config
        self.weights = weights
        self.pooling = pooling
        self.variant = variant
        # The mask of the fused form is read rightly by the memory-efficient kernel alone, which
        # takes heads of such sizes; MPNet's scores of distances it takes for some lengths only.
        is_fit = not config.distance_buckets and config.head_dim % 8 == 0
        self.attention_form: Variant = variant if is_fit or variant == "packed" else "plain"
        self.float_type = float_type
        self.graph = GraphWriter()

    def build(self) -> onnx.ModelProto:
        graph = self.graph
        self.shape_inputs()
        self.score_distances()
        hidden = self.embed()
        if self.variant == "packed":
            hidden, self.places, self.starts, _ = graph.ops(
                "RemovePadding", hidden, "lengths", outputs=4, domain=MICROSOFT
            )
        for layer in range(self.config.layers):
            hidden = self.layer(layer_prefix(layer), hidden)
        self.normalise(self.pool(hidden))
        graph.rename_last("embedding")
        inputs = [
            helper.make_tensor_value_info("input_ids", TensorProto.INT32, ["batch", "time"]),
            helper.make_tensor_value_info("lengths", TensorProto.INT32, ["batch"]),
        ]
        output = helper.make_tensor_value_info(
            "embedding", TensorProto.FLOAT, ["batch", self.config.hidden]
        )
        return graph.finish("embedding", inputs, [output])

    def shape_inputs(self) -> None:
        """The values that every layer uses: sizes, and the mask in the form that is wanted."""
        graph = self.graph
        self.time = graph.op("Shape", "input_ids", start=1, end=2)
        batch = graph.op("Shape", "input_ids", start=0, end=1)
        zero, one = graph.constant(0, np.int32), graph.constant(1, np.int32)
        width = self.scalar(self.time)
        order = graph.op("Range", zero, width, one)
        is_token = graph.op("Less", order, graph.op("Unsqueeze", "lengths", self.ints(1)))
        self.is_token = graph.op("Cast", is_token, to=TensorProto.FLOAT)  # [batch, time]
        if self.attention_form == "plain":
            absent = graph.op("Sub", self.is_token, graph.constant(1.0, np.float32))
            bias = graph.op("Mul", absent, graph.constant(-_MASKED, np.float32))
            self.mask = self.narrowed(graph.op("Unsqueeze", bias, self.ints(1, 2)))
        if self.attention_form == "fused":
            # Lengths of the keys, then where each row's queries begin and end, then the same of
            # its keys.
            end = graph.op("Add", graph.op("Mul", self.scalar(batch), width), one)
            rows = graph.op("Range", zero, end, width)
            self.mask = graph.op("Concat", "lengths", rows, rows, axis=0)

    def score_distances(self) -> None:
        """[heads, time, time] for all layers: MPNet's score for how far a key is from a query."""
        if not self.config.distance_buckets:
            return
        if self.variant == "packed":
            raise ModelInvalidError("A model with scores of distances has no packed form.")
        scores = scores_of_distances(self.read(DISTANCES), self.config)
        table = self.weight(DISTANCES, scores)
        self.distances = write_distances(self.graph, table, self.time, self.config.max_tokens)

    def embed(self) -> str:
        """Word + position + type 0, normalised: [batch, time, hidden]."""
        graph, config = self.graph, self.config
        name = f"{EMBEDDINGS}.word_embeddings.weight"
        words = graph.op("Gather", self.weight(name, self.read(name)), "input_ids")
        fixed = self.weight(f"{EMBEDDINGS}.fixed", place_embeddings(self.weights, config))
        places = graph.op("Slice", fixed, self.ints(0), self.time, self.ints(0))
        return self.add_and_norm(words, places, f"{EMBEDDINGS}.LayerNorm")

    def layer(self, prefix: str, hidden: str) -> str:
        attended = self.attention(f"{prefix}.attention", hidden)
        hidden = self.add_and_norm(
            attended,
            hidden,
            f"{prefix}.attention.output.LayerNorm",
            bias=moved_value_bias(self.weights, f"{prefix}.attention"),
        )
        inner = self.activate(self.product(hidden, f"{prefix}.intermediate.dense"), prefix)
        outer = self.product(inner, f"{prefix}.output.dense")
        bias = self.read(f"{prefix}.output.dense.bias")
        return self.add_and_norm(outer, hidden, f"{prefix}.output.LayerNorm", bias=bias)

    def attention(self, prefix: str, hidden: str) -> str:
        """Through the output layer's product; its bias is still to be added."""
        scale = 1.0 / math.sqrt(self.config.head_dim)
        bias = scale * self.read(f"{prefix}.self.query.bias")
        query = self.graph.op(
            "Add",
            self.product(hidden, f"{prefix}.self.query", scale),
            self.weight(f"{prefix}.self.query.bias", bias),
        )
        key = self.product(hidden, f"{prefix}.self.key")
        value = self.product(hidden, f"{prefix}.self.value")
        attend = {"plain": self.attend_plainly, "fused": self.attend, "packed": self.attend_packed}
        context = attend[self.attention_form](query, key, value)
        return self.product(context, f"{prefix}.output.dense")

    def attend(self, query: str, key: str, value: str) -> str:
        return self.graph.op(
            "MultiHeadAttention",
            *(query, key, value, "", self.mask),
            domain=MICROSOFT,
            num_heads=self.config.heads,
            scale=1.0,
        )

    def attend_packed(self, query: str, key: str, value: str) -> str:
        return self.graph.op(
            "PackedMultiHeadAttention",
            *(query, key, value, "", self.places, self.starts),
            domain=MICROSOFT,
            num_heads=self.config.heads,
            scale=1.0,
        )

    def attend_plainly(self, query: str, key: str, value: str) -> str:
        graph = self.graph
        scores = graph.op("MatMul", self.by_head(query), self.by_head(key, [0, 2, 3, 1]))
        if self.config.distance_buckets:
            scores = graph.op("Add", scores, self.distances)
        shares = graph.op("Softmax", graph.op("Add", scores, self.mask), axis=-1)
        context = graph.op("MatMul", shares, self.by_head(value))
        turned = graph.op("Transpose", context, perm=[0, 2, 1, 3])
        return graph.op("Reshape", turned, self.ints(0, 0, self.config.hidden))

    def by_head(self, rows: str, order: list[int] | None = None) -> str:
        """[batch, time, hidden] -> [batch, heads, time, head_dim], or another order."""
        shape = self.ints(0, 0, self.config.heads, self.config.head_dim)
        cut = self.graph.op("Reshape", rows, shape)
        return self.graph.op("Transpose", cut, perm=order or [0, 2, 1, 3])

    def activate(self, rows: str, prefix: str) -> str:
        name = f"{prefix}.intermediate.dense.bias"
        bias = self.weight(name, self.read(name))
        gelu = self.config.gelu
        if self.variant != "plain" and gelu is not None:
            kind = "FastGelu" if gelu == "tanh" else "BiasGelu"
            return self.graph.op(kind, rows, bias, domain=MICROSOFT)
        summed = self.graph.op("Add", rows, bias)
        if gelu is None:
            return self.graph.op("Relu", summed)
        return self.graph.op("Gelu", summed, approximate=gelu)

    def add_and_norm(self, rows: str, skip: str, name: str, bias: FloatArray | None = None) -> str:
        graph, epsilon = self.graph, self.config.epsilon
        scale, shift = (
            self.weight(f"{name}.{part}", self.read(f"{name}.{part}"))
            for part in ("weight", "bias")
        )
        biases = [] if bias is None else [self.weight(f"{name}.before", bias)]
        if self.variant != "plain":
            inputs = (rows, skip, scale, shift, *biases)
            return graph.op("SkipLayerNormalization", *inputs, domain=MICROSOFT, epsilon=epsilon)
        for addend in (*biases, skip):
            rows = graph.op("Add", rows, addend)
        return graph.op("LayerNormalization", rows, scale, shift, axis=-1, epsilon=epsilon)

    def pool(self, hidden: str) -> str:
        """[batch, hidden] float32. A mean is left as a sum: the norm takes the division away."""
        graph = self.graph
        if self.pooling == "cls":
            first = self.ints(0)
            if self.variant == "packed":
                starts = graph.op("Slice", self.starts, first, self.ints(-1), first)
                return self.widened(graph.op("Gather", hidden, starts))
            return self.widened(graph.op("Gather", hidden, graph.constant(0, np.int64), axis=1))
        if self.variant == "packed":
            hidden = graph.op("RestorePadding", hidden, self.places, domain=MICROSOFT)
        weights = graph.op("Unsqueeze", self.is_token, self.ints(1))
        summed = graph.op("MatMul", weights, self.widened(hidden))
        return graph.op("Squeeze", summed, self.ints(1))

    def normalise(self, rows: str) -> str:
        graph = self.graph  # LpNormalization has no kernel for CUDA
        norm = graph.op("ReduceL2", rows, self.ints(-1), keepdims=1)
        least = graph.constant(_SMALLEST_NORM, np.float32)
        return graph.op("Div", rows, graph.op("Max", norm, least))

    def product(self, rows: str, name: str, scale: float = 1.0) -> str:
        """With the layer's weights, (in, out) for a product that needs no transposing."""
        weight = self.weight(f"{name}.weight", scale * self.read(f"{name}.weight").T)
        return self.graph.op("MatMul", rows, weight)

    def weight(self, name: str, array: npt.NDArray[np.floating]) -> str:
        """An initializer in the graph's float type."""
        with np.errstate(over="ignore"):
            narrow = array.astype(self.float_type)
        if not np.isfinite(narrow).all():
            raise ModelInvalidError(
                f"The tensor {name!r} holds numbers that float16 cannot hold, so this model cannot "
                "run in float16. It runs in float32.",
                details={"tensor": name},
            )
        return self.graph.array(name, narrow)

    def read(self, name: str) -> FloatArray:
        return self.weights.floats(name)

    def narrowed(self, value: str) -> str:
        return self.graph.op("Cast", value, to=_ONNX_FLOATS[self.float_type])

    def widened(self, value: str) -> str:
        return self.graph.op("Cast", value, to=TensorProto.FLOAT)

    def scalar(self, size: str) -> str:
        """One size of a shape, as an int32 without dimensions."""
        return self.graph.op("Squeeze", self.graph.op("Cast", size, to=TensorProto.INT32))

    def ints(self, *values: int) -> str:
        return self.graph.constant(values, np.int64)
