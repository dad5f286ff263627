"""Walking an ONNX graph, its sub-graphs and its files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import onnx
from onnx import TensorProto

from emberd.errors import ModelInvalidError
from emberd.models.info import GRAPH_FILE, INFO_FILE, TOKENIZER_FILE

__all__ = ["copy_external_data", "invalid_export", "rank_of", "rename_value"]

_RESERVED = {"", "..", GRAPH_FILE, INFO_FILE, TOKENIZER_FILE}


def rename_value(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Give a value another name wherever it is made or used, in sub-graphs too."""
    for part in _graphs(graph):
        for node in part.node:
            node.input[:] = [new if name == old else name for name in node.input]
            node.output[:] = [new if name == old else name for name in node.output]
        for value in (*part.value_info, *part.output, *part.initializer):
            if value.name == old:
                value.name = new


def rank_of(value: onnx.ValueInfoProto) -> int | None:
    """The number of axes, or None where the graph does not say."""
    kind = value.type.tensor_type
    return len(kind.shape.dim) if kind.HasField("shape") else None


def _external_files(model: onnx.ModelProto, source: Path) -> list[Path]:
    """The files beside `source` that hold the graph's weights.

    Raises ModelInvalidError when one is missing or lies elsewhere.
    """
    names = sorted({name for tensor in _tensors(model.graph) for name in _location(tensor)})
    for name in names:
        if name in _RESERVED or name != Path(name).name:
            raise invalid_export(source, f"its weights' file {name!r} does not lie beside it")
        if not (source.parent / name).is_file():
            raise invalid_export(source, f"its weights' file {name!r} is missing")
    return [source.parent / name for name in names]


def copy_external_data(model: onnx.ModelProto, source: Path, target: Path) -> list[Path]:
    """Copy the weights' files of the graph at `source` into a folder; returns the copies.

    Raises ModelInvalidError when one is missing or lies elsewhere.
    """
    files = _external_files(model, source)
    return [Path(shutil.copyfile(file, target / file.name)) for file in files]


def invalid_export(path: Path, why: str) -> ModelInvalidError:
    """The error for an ONNX file that cannot be used."""
    return ModelInvalidError(
        f"{path.name} is not an export that emberd can run: {why}.", details={"path": str(path)}
    )


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for child in (attribute.g, *attribute.graphs):
                if child.node:
                    yield from _graphs(child)


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    for part in _graphs(graph):
        yield from part.initializer
        for node in part.node:
            for attribute in node.attribute:
                yield from (attribute.t, *attribute.tensors)


def _location(tensor: onnx.TensorProto) -> list[str]:
    if tensor.data_location != TensorProto.EXTERNAL:
        return []
    return [entry.value for entry in tensor.external_data if entry.key == "location"]
