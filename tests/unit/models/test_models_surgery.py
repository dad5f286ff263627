"""Exports of other tools: pooling and norm are added, and what is missing is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto
from onnx_exports import IDS, MASK, TABLE, TYPES, export

from emberd.errors import ModelInvalidError
from emberd.models.onnx_values import copy_external_data
from emberd.models.surgery import adapt_export


def run(model: onnx.ModelProto) -> np.ndarray:
    onnx.checker.check_model(model)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == ["input_ids", "attention_mask"]
    assert [value.name for value in session.get_outputs()] == ["embedding"]
    vectors: np.ndarray = session.run(None, {"input_ids": IDS, "attention_mask": MASK})[0]
    assert vectors.dtype == np.float32
    return vectors


def expected(hidden: np.ndarray, pooling: str) -> np.ndarray:
    """Pooling and norm, written a second time, plainly."""
    if pooling == "cls":
        pooled = hidden[:, 0]
    else:
        pooled = np.stack(
            [rows[mask == 1].mean(0) for rows, mask in zip(hidden, MASK, strict=True)]
        )
    unit: np.ndarray = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    return unit


@pytest.mark.parametrize("opset", [9, 11, 14, 17])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_hidden_states_are_pooled_and_normed(tmp_path: Path, pooling: Any, opset: int) -> None:
    vectors = run(adapt_export(export(tmp_path / "m.onnx", opset=opset), pooling))
    assert np.allclose(vectors, expected(TABLE[IDS], pooling), atol=1e-6)


@pytest.mark.parametrize("kind", [TensorProto.INT64, TensorProto.INT32])
def test_token_types_become_zeros_and_names_do_not_clash(tmp_path: Path, kind: int) -> None:
    inputs = ("input_ids", "attention_mask", "token_type_ids")
    vectors = run(adapt_export(export(tmp_path / "m.onnx", inputs=inputs, kind=kind), "mean"))
    assert np.allclose(vectors, expected(TABLE[IDS] + TYPES[0], "mean"), atol=1e-6)


def test_a_pooled_output_is_taken_as_it_is(tmp_path: Path) -> None:
    path = export(tmp_path / "m.onnx", output="sentence_embedding", pooled=True, opset=11)
    pooled = TABLE[IDS].mean(1)
    assert np.allclose(
        run(adapt_export(path, None)), pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    )


def test_half_precision_comes_out_as_float32(tmp_path: Path) -> None:
    path = export(tmp_path / "m.onnx", precision=TensorProto.FLOAT16)
    assert np.allclose(run(adapt_export(path, "mean")), expected(TABLE[IDS], "mean"), atol=1e-3)


@pytest.mark.parametrize("output", ["token_embeddings", "some_name_of_its_own"])
def test_other_names_of_the_hidden_states_are_found(tmp_path: Path, output: str) -> None:
    path = export(tmp_path / "m.onnx", output=output)
    assert np.allclose(run(adapt_export(path, "mean")), expected(TABLE[IDS], "mean"), atol=1e-6)


def test_an_export_without_a_mask_gets_one_for_the_pooling(tmp_path: Path) -> None:
    path = export(tmp_path / "m.onnx", inputs=("input_ids",))
    assert np.allclose(run(adapt_export(path, "mean")), expected(TABLE[IDS], "mean"), atol=1e-6)


def test_a_zero_row_stays_zero(tmp_path: Path) -> None:
    model = adapt_export(export(tmp_path / "m.onnx"), "mean")
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    vectors = session.run(None, {"input_ids": IDS, "attention_mask": MASK * 0})[0]
    assert not vectors.any()


@pytest.mark.parametrize(
    ("change", "pooling", "complaint"),
    [
        ({"output": "logits", "pooled": True}, "mean", "neither a pooled output.*logits"),
        ({}, None, "1_Pooling/config.json"),
        ({"inputs": ("tokens", "attention_mask")}, "mean", "no input 'input_ids'"),
        ({"inputs": ("input_ids", "pixel_values")}, "mean", "does not know its input 'pixel"),
        ({"kind": TensorProto.FLOAT}, "mean", "not all int64 or int32"),
        ({"sides": (1, 128)}, "mean", "one size only.*dynamic axes"),
        ({"opset": 6}, "mean", "its opset is 6"),
        ({"shape_is_known": False, "output": "x"}, "mean", "neither a pooled output"),
    ],
)
def test_what_is_missing_is_said(
    tmp_path: Path, change: dict[str, Any], pooling: Any, complaint: str
) -> None:
    with pytest.raises(ModelInvalidError, match=complaint):
        adapt_export(export(tmp_path / "m.onnx", **change), pooling)


def test_a_file_that_is_no_onnx_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"<html>404</html>")
    with pytest.raises(ModelInvalidError, match="no ONNX file"):
        adapt_export(tmp_path / "m.onnx", "mean")


def test_weights_beside_the_graph_go_with_it(tmp_path: Path) -> None:
    path = export(tmp_path / "m.onnx")
    target = tmp_path / "out"
    target.mkdir()
    onnx.save(
        onnx.load(path),
        path,
        save_as_external_data=True,
        location="m.onnx_data",
        size_threshold=0,
    )
    model = adapt_export(path, "mean")
    assert [file.name for file in copy_external_data(model, path, target)] == ["m.onnx_data"]
    (target / "model.onnx").write_bytes(model.SerializeToString())
    session = ort.InferenceSession(target / "model.onnx", providers=["CPUExecutionProvider"])
    vectors = session.run(None, {"input_ids": IDS, "attention_mask": MASK})[0]
    assert np.allclose(vectors, expected(TABLE[IDS], "mean"), atol=1e-6)


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "model.onnx", "emberd.json", ""])
def test_weights_elsewhere_are_never_read(
    tmp_path: Path, location: str, make_external: Callable[[Path, str], onnx.ModelProto]
) -> None:
    path = export(tmp_path / "m.onnx")
    with pytest.raises(ModelInvalidError, match="does not lie beside it"):
        copy_external_data(make_external(path, location), path, tmp_path)


def test_missing_weights_are_named(
    tmp_path: Path, make_external: Callable[[Path, str], onnx.ModelProto]
) -> None:
    path = export(tmp_path / "m.onnx")
    with pytest.raises(ModelInvalidError, match=r"'w\.bin' is missing"):
        copy_external_data(make_external(path, "w.bin"), path, tmp_path)


@pytest.fixture
def make_external() -> Callable[[Path, str], onnx.ModelProto]:
    def make(path: Path, location: str) -> onnx.ModelProto:
        model = onnx.load(path)
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)
        return model

    return make
