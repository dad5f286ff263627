"""Small ONNX graphs in the form in which other tools export encoders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["IDS", "MASK", "TABLE", "TYPES", "export"]

VOCABULARY, DIM = 12, 6
TABLE = np.random.default_rng(3).normal(size=(VOCABULARY, DIM)).astype(np.float32)
TYPES = np.random.default_rng(4).normal(size=(2, DIM)).astype(np.float32)
IDS = np.array([[1, 5, 2, 0], [3, 4, 7, 9]])
MASK = np.array([[1, 1, 1, 0], [1, 1, 1, 1]])


def export(
    path: Path,
    *,
    output: str = "last_hidden_state",
    inputs: tuple[str, ...] = ("input_ids", "attention_mask"),
    kind: int = TensorProto.INT64,
    precision: int = TensorProto.FLOAT,
    sides: tuple[Any, Any] = ("batch_size", "sequence_length"),
    opset: int = 14,
    pooled: bool = False,
    shape_is_known: bool = True,
) -> Path:
    """A stand-in for an exported encoder: a table look-up, as a token-type model where asked."""
    dtype = helper.tensor_dtype_to_np_dtype(precision)
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["words"])]
    last = "words"
    if "token_type_ids" in inputs:
        nodes.append(helper.make_node("Gather", ["types", "token_type_ids"], ["kinds"]))
        nodes.append(helper.make_node("Add", ["words", "kinds"], ["embedding"]))
        last = "embedding"  # the name that the output will need
    if pooled:
        nodes.append(helper.make_node("ReduceMean", [last], [output], axes=[1], keepdims=0))
    else:
        nodes.append(helper.make_node("Identity", [last], [output]))
    shape = ["batch_size", DIM] if pooled else ["batch_size", "sequence_length", DIM]
    graph = helper.make_graph(
        nodes,
        "export",
        [helper.make_tensor_value_info(name, kind, list(sides)) for name in inputs],
        [helper.make_tensor_value_info(output, precision, shape if shape_is_known else None)],
        [
            numpy_helper.from_array(TABLE.astype(dtype), "table"),
            numpy_helper.from_array(TYPES.astype(dtype), "types"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, path)
    return path
