"""The graphs for a GPU, as far as a CPU can run them: their numbers, not their speed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx.reference import ReferenceEvaluator
from packed_reference import MICROSOFT_OPERATORS

from emberd.errors import ModelInvalidError
from emberd.models import DEFAULT_MODEL, ModelStore
from emberd.models.bert.config import BertConfig, read_bert_config
from emberd.models.bert.gpu_graph import VARIANTS, build_gpu_graph
from emberd.models.bert.graph import build_bert_graph
from emberd.models.bert.weights import write_bert_weights
from emberd.models.graph_writer import save_model
from emberd.models.safetensors import SafeTensors, write_safetensors

TINY = ["tiny-bert", "tiny-bert-tanh", "tiny-bert-relu", "tiny-roberta", "tiny-xlm-roberta"]
LENGTHS = [24, 1, 7, 24, 2]


def config_of(folder: Path, **changes: Any) -> BertConfig:
    return read_bert_config(json.loads((folder / "config.json").read_text()) | changes)


def build(
    source: Path, scratch: Path, pooling: Any, heads: int = 4, **form: Any
) -> onnx.ModelProto:
    config = config_of(source, num_attention_heads=heads)
    weights = scratch / "model.safetensors"
    with SafeTensors(source / "model.safetensors") as tensors:
        write_bert_weights(tensors, config, weights)
    with SafeTensors(weights) as tensors:
        return build_gpu_graph(config, tensors, pooling, **form)


def run(model: onnx.ModelProto, ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    feeds = {"input_ids": ids.astype(np.int32), "lengths": lengths.astype(np.int32)}
    if any(node.op_type == "RemovePadding" for node in model.graph.node):
        return ReferenceEvaluator(model, new_ops=MICROSOFT_OPERATORS).run(None, feeds)[0]
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0]


def expected_of(folder: Path, pooling: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids, lengths and the normalised vectors that transformers computed."""
    found = np.load(folder / "expected.npz")
    wanted = found[pooling] / np.linalg.norm(found[pooling], axis=1, keepdims=True)
    return found["ids"], found["mask"].sum(axis=1), wanted


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("name", TINY)
def test_each_variant_gives_the_numbers_of_torch(
    data: Path, tmp_path: Path, name: str, pooling: Any, variant: Any
) -> None:
    ids, lengths, wanted = expected_of(data / name, pooling)
    assert len(set(lengths)) > 1, "without padding nothing would be shown"
    model = build(data / name, tmp_path, pooling, variant=variant, float_type="float32")
    onnx.checker.check_model(model)
    vectors = run(model, ids, lengths)
    assert vectors.dtype == np.float32
    assert np.abs(vectors - wanted).max() < 2e-6


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("name", ["tiny-bert", "tiny-roberta"])
def test_each_variant_agrees_with_the_cpus_graph_on_heads_that_are_fused(
    data: Path, tmp_path: Path, name: str, pooling: Any
) -> None:
    """With two heads of 8 in the place of four of 4, the weights are those of another model."""
    ids, lengths, other = expected_of(data / name, pooling)
    models = {
        variant: build(
            data / name, tmp_path, pooling, heads=2, variant=variant, float_type="float32"
        )
        for variant in VARIANTS
    }
    config = config_of(data / name, num_attention_heads=2)
    with SafeTensors(tmp_path / "model.safetensors") as tensors:
        save_model(
            build_bert_graph(config, tensors, pooling, normalize=True), tmp_path / "exact.onnx"
        )
    session = ort.InferenceSession(tmp_path / "exact.onnx", providers=["CPUExecutionProvider"])
    mask = (np.arange(ids.shape[1]) < lengths[:, None]).astype(np.int64)
    wanted = session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
    assert np.abs(wanted - other).max() > 1e-3
    for model in models.values():
        vectors = run(model, ids, lengths)
        assert (vectors * wanted).sum(axis=1).min() >= 0.999999
        assert np.abs(vectors - wanted).max() < 2e-6


@pytest.mark.parametrize("variant", ["plain", "fused"])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_scores_of_distances_give_the_numbers_of_torch(
    data: Path, tmp_path: Path, pooling: Any, variant: Any
) -> None:
    ids, lengths, wanted = expected_of(data / "tiny-mpnet", pooling)
    model = build(data / "tiny-mpnet", tmp_path, pooling, variant=variant, float_type="float32")
    assert np.abs(run(model, ids, lengths) - wanted).max() < 2e-6
    with pytest.raises(ModelInvalidError, match="no packed form"):
        build(data / "tiny-mpnet", tmp_path, pooling, variant="packed")


@pytest.mark.parametrize("variant", ["plain", "fused"])
@pytest.mark.parametrize("name", ["tiny-bert", "tiny-roberta", "tiny-mpnet"])
def test_float16_stays_as_near_as_the_exact_precision_promises(
    data: Path, tmp_path: Path, name: str, variant: Any
) -> None:
    ids, lengths, wanted = expected_of(data / name, "mean")
    model = build(data / name, tmp_path, "mean", variant=variant)
    floats = {tensor.data_type for tensor in model.graph.initializer if len(tensor.dims) > 1}
    assert floats == {onnx.TensorProto.FLOAT16}
    vectors = run(model, ids, lengths)
    assert (vectors * wanted).sum(axis=1).min() >= 0.9999
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-6


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_stands_in_the_padding_does_not_matter(
    data: Path, tmp_path: Path, variant: Any
) -> None:
    ids, lengths, _ = expected_of(data / "tiny-bert", "mean")
    model = build(data / "tiny-bert", tmp_path, "mean", variant=variant, float_type="float32")
    is_token = np.arange(ids.shape[1]) < lengths[:, None]
    other = np.where(is_token, ids, 63 - ids)
    np.testing.assert_array_equal(run(model, ids, lengths), run(model, other, lengths))


def test_the_default_model_in_float16_is_the_model(
    default_model_store: Path, tmp_path: Path
) -> None:
    stored = ModelStore(default_model_store).get(DEFAULT_MODEL)
    exact = ort.InferenceSession(stored.graph, providers=["CPUExecutionProvider"])
    with SafeTensors(stored.folder / "model.safetensors") as tensors:
        narrow = build_gpu_graph(config_of(stored.folder), tensors, stored.info.pooling)
    ids = np.random.default_rng(5).integers(1_000, 30_000, (len(LENGTHS), max(LENGTHS)))
    lengths = np.array(LENGTHS)
    mask = (np.arange(ids.shape[1]) < lengths[:, None]).astype(np.int64)
    wanted = exact.run(None, {"input_ids": ids, "attention_mask": mask})[0]
    assert (run(narrow, ids, lengths) * wanted).sum(axis=1).min() >= 0.9999


def test_a_weight_that_float16_cannot_hold_is_refused_by_name(data: Path, tmp_path: Path) -> None:
    folder = data / "tiny-bert"
    config = config_of(folder)
    name = "encoder.layer.1.output.dense.weight"
    with SafeTensors(folder / "model.safetensors") as tensors:
        shapes = {key: slot.shape for key, slot in tensors.slots.items() if slot.dtype == "F32"}
        write_safetensors(
            tmp_path / "large",
            shapes,
            lambda key: tensors.floats(key) * (1e7 if key == name else 1),
        )
    with SafeTensors(tmp_path / "large") as tensors:
        with pytest.raises(ModelInvalidError) as caught:
            build_gpu_graph(config, tensors, "mean")
        assert caught.value.details == {"tensor": name}
        build_gpu_graph(config, tensors, "mean", float_type="float32")


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_the_packed_form_is_a_graph_that_only_lacks_kernels_for_a_cpu(
    data: Path, tmp_path: Path, pooling: Any
) -> None:
    """ONNX Runtime checks operators, types and shapes before it looks for kernels."""
    ort.set_default_logger_severity(4)
    model = build(data / "tiny-bert", tmp_path, pooling, variant="packed")
    with pytest.raises(Exception, match=r"NOT_IMPLEMENTED .*RemovePadding"):
        ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def test_each_variant_uses_the_operators_that_it_is_named_after(data: Path, tmp_path: Path) -> None:
    kinds = {
        variant: {
            (node.domain, node.op_type)
            for node in build(
                data / "tiny-bert", tmp_path, "mean", heads=2, variant=variant
            ).graph.node
        }
        for variant in VARIANTS
    }
    assert not [domain for domain, _ in kinds["plain"] if domain]
    fused = {"MultiHeadAttention", "SkipLayerNormalization", "BiasGelu"}
    packed = {"RemovePadding", "PackedMultiHeadAttention", "RestorePadding"}
    assert {kind for domain, kind in kinds["fused"] if domain} == fused
    assert {kind for domain, kind in kinds["packed"] if domain} == packed | fused - {
        "MultiHeadAttention"
    }
