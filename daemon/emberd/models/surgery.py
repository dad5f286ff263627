"""Turning an ONNX export of an encoder into emberd's form: two inputs, one pooled, unit output.

Only operators whose form is the same from opset 7 on are added, so that the export's own opset
stays as it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from emberd.models.info import Pooling
from emberd.models.onnx_values import invalid_export, rank_of, rename_value

__all__ = ["adapt_export"]

_POOLED = ("sentence_embedding", "pooled_embedding", "embedding", "embeddings")
_PER_TOKEN = ("last_hidden_state", "token_embeddings", "hidden_states", "output_0")
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)
_INTEGERS = (TensorProto.INT64, TensorProto.INT32)
_ALL_ZEROS = ("token_type_ids", "segment_ids")
_OUTPUT = "embedding"


def adapt_export(path: Path, pooling: Pooling | None) -> onnx.ModelProto:
    """The export at `path` with pooling and L2 norm added: `input_ids`, `attention_mask` int64
    [batch, time] -> `embedding` float32 [batch, dim].

    `token_type_ids` becomes zeros. Raises ModelInvalidError that says what is missing.
    """
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as exc:  # protobuf's own errors; it comes with onnx and has no types
        raise invalid_export(path, f"it is no ONNX file ({exc})") from exc
    _Surgery(path, model).run(pooling)
    return model


class _Surgery:
    """One graph being changed in place."""

    def __init__(self, path: Path, model: onnx.ModelProto) -> None:
        self.path = path
        self.graph = model.graph
        self.opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)

    def run(self, pooling: Pooling | None) -> None:
        if self.opset < 7:
            raise invalid_export(self.path, f"its opset is {self.opset}; use 14 or later")
        result, is_pooled = self.find_output(pooling)
        rename_value(self.graph, _OUTPUT, f"{_OUTPUT}_of_export")
        self.set_inputs()
        value, kind = result.name, result.type.tensor_type.elem_type
        if kind != TensorProto.FLOAT:
            value = self.add("Cast", value, to=TensorProto.FLOAT)
        if not is_pooled:
            value = self.pool(value, pooling)
        self.add("LpNormalization", value, axis=-1, p=2, output=_OUTPUT)
        dim = result.type.tensor_type.shape.dim[-1].dim_value
        del self.graph.output[:]
        self.graph.output.append(
            helper.make_tensor_value_info(_OUTPUT, TensorProto.FLOAT, ["batch", dim or "dim"])
        )

    def find_output(self, pooling: Pooling | None) -> tuple[onnx.ValueInfoProto, bool]:
        """The output to work on, and whether it is pooled already."""
        outputs = {
            output.name: output
            for output in self.graph.output
            if output.type.tensor_type.elem_type in _FLOATS
        }
        for names, rank in ((_POOLED, 2), (_PER_TOKEN, 3)):
            for name in names:
                if name in outputs and rank_of(outputs[name]) in (rank, None):
                    return self.usable(outputs[name], rank == 2, pooling)
        cubes = [output for output in outputs.values() if rank_of(output) == 3]
        if len(cubes) == 1:
            return self.usable(cubes[0], False, pooling)
        raise invalid_export(
            self.path,
            "it has neither a pooled output 'sentence_embedding' [batch, dim] nor an output "
            f"'last_hidden_state' [batch, time, dim]; its outputs are "
            f"{', '.join(o.name for o in self.graph.output) or 'none'}",
        )

    def usable(
        self, output: onnx.ValueInfoProto, is_pooled: bool, pooling: Pooling | None
    ) -> tuple[onnx.ValueInfoProto, bool]:
        if not is_pooled and pooling is None:
            raise invalid_export(
                self.path,
                f"its output {output.name!r} is one vector a token, and no file says how they "
                "become one. Put 1_Pooling/config.json beside it, with "
                '{"pooling_mode_mean_tokens": true} or {"pooling_mode_cls_token": true}',
            )
        return output, is_pooled

    def set_inputs(self) -> None:
        """Two int64 inputs; others are zeros or refused, other integer types are cast."""
        known = {value.name for value in self.graph.initializer}
        inputs = {value.name: value for value in self.graph.input if value.name not in known}
        if "input_ids" not in inputs:
            raise invalid_export(self.path, f"it has no input 'input_ids' but {', '.join(inputs)}")
        strange = set(inputs) - {"input_ids", "attention_mask", *_ALL_ZEROS}
        if strange:
            raise invalid_export(self.path, f"emberd does not know its input {min(strange)!r}")
        kinds = {name: value.type.tensor_type.elem_type for name, value in inputs.items()}
        if any(kind not in _INTEGERS for kind in kinds.values()):
            raise invalid_export(self.path, "its inputs are not all int64 or int32")
        self.refuse_fixed_sizes(inputs["input_ids"])
        first: list[onnx.NodeProto] = []
        for name, kind in kinds.items():
            if name in _ALL_ZEROS:
                first += self.zeros(name, kind)
            elif kind != TensorProto.INT64:
                rename_value(self.graph, name, f"{name}_of_export")
                first.append(helper.make_node("Cast", [name], [f"{name}_of_export"], to=kind))
        keep = [value for value in self.graph.input if value.name in known]
        del self.graph.input[:]
        self.graph.input.extend(keep)
        for name in ("input_ids", "attention_mask"):
            info = helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "time"])
            self.graph.input.append(info)
        nodes = [*first, *self.graph.node]
        del self.graph.node[:]
        self.graph.node.extend(nodes)

    def refuse_fixed_sizes(self, ids: onnx.ValueInfoProto) -> None:
        sides = [side.dim_value for side in ids.type.tensor_type.shape.dim]
        if any(sides):
            raise invalid_export(
                self.path,
                f"it was exported for batches of one size only ({sides}); export it with dynamic "
                "axes",
            )

    def zeros(self, name: str, kind: int) -> list[onnx.NodeProto]:
        value = numpy_helper.from_array(np.zeros(1, helper.tensor_dtype_to_np_dtype(kind)))
        return [
            helper.make_node("Shape", ["input_ids"], [f"{name}_shape"]),
            helper.make_node("ConstantOfShape", [f"{name}_shape"], [name], value=value),
        ]

    def pool(self, hidden: str, pooling: Pooling | None) -> str:
        """[batch, time, dim] -> [batch, dim]. The norm that follows makes a mean of the sum."""
        if pooling == "cls":
            return self.add("Gather", hidden, self.constant("first", 0), axis=1)
        mask = self.add("Cast", "attention_mask", to=TensorProto.FLOAT)
        row = self.add("Reshape", mask, self.constant("row", [0, 1, -1]))
        summed = self.add("MatMul", row, hidden)
        return self.add("Reshape", summed, self.constant("flat", [0, -1]))

    def add(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        name = output or f"emberd_{kind}_{len(self.graph.node)}"
        self.graph.node.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, name: str, value: int | list[int]) -> str:
        array = np.array(value, np.int64)
        self.graph.initializer.append(numpy_helper.from_array(array, f"emberd_{name}"))
        return f"emberd_{name}"
