"""Writing an ONNX graph node by node, with the large weights left in a file beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from emberd.models.safetensors import SafeTensors

__all__ = ["MICROSOFT", "GraphWriter", "save_model"]

MICROSOFT = "com.microsoft"
_OPSET = 20  # Gelu came with 20
_IR_VERSION = 10
# As safetensors names them.
_TYPES = {"F32": TensorProto.FLOAT, "I8": TensorProto.INT8, "U8": TensorProto.UINT8}


class GraphWriter:
    """Collects nodes and initializers; every value gets a name of its own.

    `weights` is the safetensors file that lies beside the graph: its tensors are not copied into
    the graph but named by file, offset and length (ONNX external data), so ONNX Runtime maps them
    and several graphs can share them.
    """

    def __init__(self, weights: SafeTensors | None = None) -> None:
        self._weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}
        self._count = 0

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output; returns the output's name."""
        return self.ops(kind, *inputs, outputs=1, domain=domain, **attributes)[0]

    def ops(
        self, kind: str, *inputs: str, outputs: int, domain: str = "", **attributes: Any
    ) -> list[str]:
        """Add a node with so many outputs; returns their names."""
        names = [self._name(kind) for _ in range(outputs)]
        self._nodes.append(
            helper.make_node(kind, list(inputs), names, name=names[0], domain=domain, **attributes)
        )
        return names

    def rename_last(self, name: str) -> str:
        """Give the last node's output a name of the caller's."""
        self._nodes[-1].output[0] = name
        return name

    def constant(self, value: npt.ArrayLike, dtype: npt.DTypeLike) -> str:
        """An initializer inside the graph; equal ones are kept once."""
        array = np.ascontiguousarray(value, dtype).reshape(np.shape(value))
        for name, known in self._initializers.items():
            if known.dims == list(array.shape) and known.raw_data == array.tobytes():
                return name
        name = self._name("constant")
        self._initializers[name] = numpy_helper.from_array(array, name)
        return name

    def array(self, name: str, value: npt.NDArray[Any]) -> str:
        """An initializer inside the graph under a name of the caller's, of any size."""
        self._initializers[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def weight(self, name: str) -> str:
        """An initializer that stays in the weights' file."""
        if self._weights is None:
            raise ValueError("this graph has no weights' file")
        if name not in self._initializers:
            slot = self._weights.slots[name]
            tensor = TensorProto(
                name=name,
                dims=slot.shape,
                data_type=_TYPES[slot.dtype],
                data_location=TensorProto.EXTERNAL,
            )
            place = {"location": self._weights.path.name, "offset": slot.offset}
            for key, value in {**place, "length": slot.size}.items():
                tensor.external_data.add(key=key, value=str(value))
            self._initializers[name] = tensor
        return name

    def branch(self, output: str, nodes: Sequence[onnx.NodeProto]) -> onnx.GraphProto:
        """A sub-graph for `If`: no inputs of its own, one float output."""
        info = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
        return helper.make_graph(list(nodes), f"{output}_branch", [], [info])

    def finish(
        self,
        name: str,
        inputs: Sequence[onnx.ValueInfoProto],
        outputs: Sequence[onnx.ValueInfoProto],
    ) -> onnx.ModelProto:
        """The model; the caller saves it in the folder of the weights' file."""
        graph = helper.make_graph(
            self._nodes, name, list(inputs), list(outputs), list(self._initializers.values())
        )
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(
            graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="emberd"
        )

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{kind}_{self._count}"


def save_model(model: onnx.ModelProto, path: Path) -> None:
    """Write the graph; external data is left where it is."""
    path.write_bytes(model.SerializeToString(deterministic=True))
