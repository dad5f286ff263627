"""The matrix products of a model's linear layers and nothing else: the limit of this processor.

A text's tokens go through the same products whatever the program, and they are most of its time. So
a program with these products, and with all else for nothing, would be this quick. One session on
one thread for each processor, batches of 512 tokens, the shapes of the weights, numbers at random.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
import onnxruntime as ort
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from emberd.engine.device import usable_cores
from emberd.models import StoredModel
from emberd.models.info import CONFIG_FILE

__all__ = ["Products"]

_BATCH_TOKENS = 512
_INT8_DOMAIN = "com.microsoft"


class Products:
    """Multiplies for as many tokens as it is told; use it as a context manager."""

    def __init__(self, model: StoredModel, precision: Literal["exact", "int8"]) -> None:
        config = json.loads((model.folder / CONFIG_FILE).read_bytes())
        hidden, inner = config["hidden_size"], config["intermediate_size"]
        shapes = [(hidden, hidden)] * 4 + [(hidden, inner), (inner, hidden)]
        graph = _graph(shapes, is_int8=precision == "int8").SerializeToString()
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._layers: int = config["num_hidden_layers"]
        self._session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._rows = _rows(hidden, inner, is_int8=precision == "int8")
        self._threads = usable_cores()
        self._pool = ThreadPoolExecutor(self._threads)

    def __enter__(self) -> Products:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._pool.shutdown()

    def multiply(self, tokens: int) -> None:
        """Return when the products of all layers are done for so many tokens, rounded up to whole
        batches for each thread."""
        batches = -(-tokens // (_BATCH_TOKENS * self._threads))
        runs = self._layers * batches
        list(self._pool.map(self._run, [runs] * self._threads))

    def _run(self, times: int) -> None:
        for _ in range(times):
            self._session.run(None, self._rows)


def _rows(hidden: int, inner: int, *, is_int8: bool) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    rows = {
        str(width): random.standard_normal((_BATCH_TOKENS, width), np.float32)
        for width in (hidden, inner)
    }
    if is_int8:
        return {name: (row * 40 + 128).clip(0, 255).astype(np.uint8) for name, row in rows.items()}
    return rows


def _graph(shapes: list[tuple[int, int]], *, is_int8: bool) -> ModelProto:
    """All products of one layer, beside each other: the inputs are called by their widths."""
    kind = TensorProto.UINT8 if is_int8 else TensorProto.FLOAT
    widths = sorted({width for width, _ in shapes})
    inputs = [helper.make_tensor_value_info(str(n), kind, [_BATCH_TOKENS, n]) for n in widths]
    nodes: list[NodeProto] = []
    outputs: list[ValueInfoProto] = []
    constants = dict(_constants(shapes, is_int8=is_int8))
    for number, (width, height) in enumerate(shapes):
        out = f"out{number}"
        if is_int8:
            given = [str(width), f"weight{number}", "scale", f"scale{number}", "zero"]
            node = helper.make_node("MatMulIntegerToFloat", given, [out], domain=_INT8_DOMAIN)
        else:
            node = helper.make_node("MatMul", [str(width), f"weight{number}"], [out])
        nodes.append(node)
        shape = [_BATCH_TOKENS, height]
        outputs.append(helper.make_tensor_value_info(out, TensorProto.FLOAT, shape))
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "products", inputs, outputs, tensors)
    domains = [helper.make_opsetid("", 17), helper.make_opsetid(_INT8_DOMAIN, 1)]
    return helper.make_model(graph, opset_imports=domains, ir_version=9)


def _constants(shapes: list[tuple[int, int]], *, is_int8: bool) -> Iterator[tuple[str, np.ndarray]]:
    random = np.random.default_rng(2)
    for number, shape in enumerate(shapes):
        weight = random.standard_normal(shape, np.float32)
        yield f"weight{number}", (weight * 40).astype(np.int8) if is_int8 else weight
        if is_int8:
            yield f"scale{number}", np.ones(shape[1], np.float32)
    if is_int8:
        yield "scale", np.array(0.02, np.float32)
        yield "zero", np.array(128, np.uint8)
