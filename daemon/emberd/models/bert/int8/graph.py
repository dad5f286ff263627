"""The graph of a BERT encoder whose linear layers multiply int8, for ONNX Runtime's CPU provider.

It is the float32 graph (`bert/graph.py`) with other linear layers:
- The input of a linear layer is quantised with one scale and zero point that calibration fixed
  (`QuantizeLinear`, uint8), and multiplied with int8 weights, one scale an output channel
  (`MatMulIntegerToFloat`). Only uint8 x int8 reaches the instructions that make int8 quick.
- The channels with the largest values of the last layer's input go through a small float32 product
  (Dettmers et al. 2022, LLM.int8()); the weights order them first, so that a slice takes them.
- Attention, norms and the residual stream stay float32.
- There is no attention mask: a batch holds texts of one length. A padded softmax sums in another
  order, and a last bit that differs there can differ by a whole step after the next rounding. So a
  text gives the same bits alone and in every batch.
"""

from __future__ import annotations

import onnx

from emberd.models.bert.config import BertConfig
from emberd.models.bert.graph import BertBuilder
from emberd.models.graph_writer import MICROSOFT
from emberd.models.info import Pooling
from emberd.models.safetensors import SafeTensors

__all__ = ["build_int8_graph"]


def build_int8_graph(config: BertConfig, weights: SafeTensors, pooling: Pooling) -> onnx.ModelProto:
    """The model: `input_ids` int64 [batch, time] -> `embedding` [batch, hidden], of norm 1.

    `weights` is the file that `write_int8_weights` wrote; both belong in one folder.
    """
    return _Int8Builder(config, weights, pooling).build(normalize=True)


class _Int8Builder(BertBuilder):
    inputs = ("input_ids",)

    def read_mask(self) -> None:
        """There is none."""

    def softmax(self, scores: str) -> str:
        return self.graph.op("Softmax", scores, axis=-1)

    def operand(self, rows: str, site: str) -> str:
        graph = self.graph
        smoothed = rows
        if self.has(f"{site}.smoothing"):
            smoothed = graph.op("Mul", rows, graph.weight(f"{site}.smoothing"))
        scale, zero = graph.weight(f"{site}.scale"), graph.weight(f"{site}.zero_point")
        quantised = graph.op("QuantizeLinear", smoothed, scale, zero)
        self.operands[site] = rows
        return quantised

    def linear(self, rows: str, name: str) -> str:
        product = self.multiply(rows, name, self.graph.weight(f"{name}.bias"))
        outliers = f"{name}.outliers"
        if not self.has(outliers):
            return product
        graph, count = self.graph, self.weights.slots[outliers].shape[0]
        rows_of_site = self.operands[self.site_of(name)]
        large = graph.op("Slice", rows_of_site, self.ints(0), self.ints(count), self.ints(1))
        return graph.op("Gemm", large, graph.weight(outliers), product)

    def key_or_value(self, rows: str, name: str) -> str:
        bias = f"{name}.bias"
        return self.multiply(rows, name, self.graph.weight(bias) if self.has(bias) else "")

    def attended(self, context: str, prefix: str) -> str:
        site = f"{prefix}.output"
        return self.linear(self.operand(context, site), f"{site}.dense")

    def activate(self, rows: str) -> str:
        """GELU by its tanh: a quarter quicker, and off by 0.0005, where a step is 0.01 and more."""
        if self.config.gelu is None:
            return super().activate(rows)
        return self.graph.op("FastGelu", rows, domain=MICROSOFT)

    def has(self, name: str) -> bool:
        return name in self.weights.slots

    def multiply(self, rows: str, name: str, bias: str) -> str:
        """Products of the operand `rows` with the int8 weights of `name`, as float32."""
        graph = self.graph
        site = self.site_of(name)
        return graph.op(
            "MatMulIntegerToFloat",
            rows,
            graph.weight(f"{name}.weight"),
            graph.weight(f"{site}.scale"),
            graph.weight(f"{name}.scale"),
            graph.weight(f"{site}.zero_point"),
            "",
            bias,
            domain=MICROSOFT,
        )

    def site_of(self, name: str) -> str:
        return name.rpartition(".")[0]

    def pool(self, hidden: str, normalize: bool) -> str:
        if self.pooling == "mean":
            shape = self.graph.op("Concat", self.batch, self.time, axis=0)
            self.mask = self.graph.op("Expand", self.float(1.0), shape)
        return super().pool(hidden, normalize)
