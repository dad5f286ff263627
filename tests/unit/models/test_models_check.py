"""Nothing enters the store that does not embed as it should."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import onnx
import pytest
from onnx import TensorProto, helper

from emberd.errors import ModelInvalidError
from emberd.models.build import build_model
from emberd.models.check import check_model, measure_dim
from emberd.models.info import ModelInfo
from emberd.models.progress import Watch
from emberd.models.sources.folder import fetch_folder


@pytest.fixture
def built(make_folder: Callable[..., Path], tmp_path: Path) -> tuple[Path, ModelInfo]:
    target = tmp_path / "built"
    target.mkdir()
    return target, build_model(fetch_folder(make_folder()), target, "tiny", None, Watch())


def edit(folder: Path, change: Callable[[onnx.GraphProto], None]) -> None:
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    change(model.graph)
    (folder / "model.onnx").write_bytes(model.SerializeToString())


def append(graph: onnx.GraphProto, kind: str) -> None:
    """Put a node between what was the output and the output."""
    graph.node[-1].output[0] = "before"
    graph.node.append(helper.make_node(kind, ["before"], ["embedding"]))


def test_a_good_model_passes(built: tuple[Path, ModelInfo]) -> None:
    check_model(*built)
    assert measure_dim(built[0]) == 16


def test_a_wrong_width_is_refused(built: tuple[Path, ModelInfo]) -> None:
    folder, info = built
    with pytest.raises(ModelInvalidError, match=r"not \[batch, 17\]"):
        check_model(folder, msgspec.structs.replace(info, dim=17))


def test_numbers_that_are_not_finite_are_refused(built: tuple[Path, ModelInfo]) -> None:
    edit(built[0], lambda graph: append(graph, "Log"))  # of numbers below 0 too
    with pytest.raises(ModelInvalidError, match="not finite"):
        check_model(*built)


def test_vectors_without_norm_1_are_refused(built: tuple[Path, ModelInfo]) -> None:
    edit(built[0], lambda graph: append(graph, "Exp"))
    with pytest.raises(ModelInvalidError, match="not of norm 1"):
        check_model(*built)


def test_a_graph_that_ignores_its_mask_is_refused(built: tuple[Path, ModelInfo]) -> None:
    def ignore_mask(graph: onnx.GraphProto) -> None:
        for node in graph.node:
            node.input[:] = ["ones" if name == "attention_mask" else name for name in node.input]
        shape = helper.make_node("Shape", ["input_ids"], ["ids_shape"])
        one = helper.make_tensor("value", TensorProto.INT64, [1], [1])
        ones = helper.make_node("ConstantOfShape", ["ids_shape"], ["ones"], value=one)
        nodes = [shape, ones, *graph.node]
        del graph.node[:]
        graph.node.extend(nodes)

    edit(built[0], ignore_mask)
    with pytest.raises(ModelInvalidError, match="another vector in a padded batch"):
        check_model(*built)


def test_a_window_beyond_the_positions_is_refused(built: tuple[Path, ModelInfo]) -> None:
    folder, info = built
    with pytest.raises(ModelInvalidError, match="does not run"):
        check_model(folder, msgspec.structs.replace(info, max_tokens=200))


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_broken_file_is_refused(built: tuple[Path, ModelInfo], name: str) -> None:
    (built[0] / name).write_bytes(b"{}")
    with pytest.raises(ModelInvalidError, match="tiny failed its check: it does not run"):
        check_model(*built)


def test_a_truncated_weights_file_is_refused(built: tuple[Path, ModelInfo]) -> None:
    weights = built[0] / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1_000])
    with pytest.raises(ModelInvalidError, match="does not run"):
        check_model(*built)


def test_the_width_of_an_export_that_does_not_run_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(ModelInvalidError, match="does not run"):
        measure_dim(tmp_path)
