"""The graphs that emberd builds, against what transformers computed with torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from emberd.errors import ModelInvalidError
from emberd.models.bert.config import read_bert_config
from emberd.models.bert.distances import bucket_of_distance
from emberd.models.bert.graph import build_bert_graph
from emberd.models.bert.weights import write_bert_weights
from emberd.models.graph_writer import save_model
from emberd.models.safetensors import SafeTensors, write_safetensors

TINY = [
    "tiny-bert",
    "tiny-bert-tanh",
    "tiny-bert-relu",
    "tiny-roberta",
    "tiny-xlm-roberta",
    "tiny-mpnet",
]


def config_of(folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return values


def build(source: Path, target: Path, pooling: Any, *, normalize: bool) -> ort.InferenceSession:
    config = read_bert_config(config_of(source))
    weights = target / "model.safetensors"
    with SafeTensors(source / "model.safetensors") as tensors:
        write_bert_weights(tensors, config, weights)
    with SafeTensors(weights) as tensors:
        save_model(
            build_bert_graph(config, tensors, pooling, normalize=normalize), target / "model.onnx"
        )
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    return ort.InferenceSession(target / "model.onnx", options, providers=["CPUExecutionProvider"])


def run(session: ort.InferenceSession, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
    vectors: np.ndarray = session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
    return vectors


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("name", TINY)
def test_each_architecture_gives_the_numbers_of_torch(
    data: Path, tmp_path: Path, name: str, pooling: Any, normalize: bool
) -> None:
    expected = np.load(data / name / "expected.npz")
    session = build(data / name, tmp_path, pooling, normalize=normalize)
    vectors = run(session, expected["ids"], expected["mask"])
    wanted = expected[pooling]
    if normalize:
        wanted = wanted / np.linalg.norm(wanted, axis=1, keepdims=True)
    assert np.abs(vectors - wanted).max() < 2e-6


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("name", ["tiny-bert", "tiny-roberta", "tiny-mpnet"])
def test_padding_changes_no_row(data: Path, tmp_path: Path, name: str, pooling: Any) -> None:
    expected = np.load(data / name / "expected.npz")
    session = build(data / name, tmp_path, pooling, normalize=True)
    together = run(session, expected["ids"], expected["mask"])
    for row, (ids, mask) in enumerate(zip(expected["ids"], expected["mask"], strict=True)):
        length = int(mask.sum())
        alone = run(session, ids[None, :length], mask[None, :length])
        assert np.abs(together[row] - alone[0]).max() < 1e-6


def test_what_stands_in_the_padding_does_not_matter(data: Path, tmp_path: Path) -> None:
    expected = np.load(data / "tiny-bert" / "expected.npz")
    session = build(data / "tiny-bert", tmp_path, "mean", normalize=True)
    ids, mask = expected["ids"], expected["mask"]
    other = np.where(mask == 1, ids, 63 - ids)
    assert np.array_equal(run(session, ids, mask), run(session, other, mask))


def test_a_row_without_any_token_is_zero_and_harms_no_other(data: Path, tmp_path: Path) -> None:
    expected = np.load(data / "tiny-bert" / "expected.npz")
    session = build(data / "tiny-bert", tmp_path, "mean", normalize=True)
    mask = expected["mask"].copy()
    whole = run(session, expected["ids"], mask)
    mask[2] = 0
    vectors = run(session, expected["ids"], mask)
    assert not vectors[2].any()
    assert np.array_equal(np.delete(vectors, 2, axis=0), np.delete(whole, 2, axis=0))


def test_the_graph_keeps_its_large_weights_in_the_file_beside_it(
    data: Path, tmp_path: Path
) -> None:
    build(data / "tiny-bert", tmp_path, "mean", normalize=True)
    import onnx

    graph = onnx.load(tmp_path / "model.onnx", load_external_data=False).graph
    outside = {t.name for t in graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL}
    assert "embeddings.word_embeddings.weight" in outside
    assert "encoder.layer.1.intermediate.dense.weight" in outside
    onnx.checker.check_model(str(tmp_path / "model.onnx"))


def test_weights_under_a_prefix_and_with_old_names_are_the_same_model(
    data: Path, tmp_path: Path
) -> None:
    config = read_bert_config(config_of(data / "tiny-bert"))
    with SafeTensors(data / "tiny-bert" / "model.safetensors") as tensors:
        write_bert_weights(tensors, config, tmp_path / "plain")
        renamed = {
            "bert."
            + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
                "LayerNorm.bias", "LayerNorm.beta"
            ): name
            for name in tensors.slots
            if tensors.slots[name].dtype == "F32"
        }
        write_safetensors(
            tmp_path / "old",
            {new: tensors.slots[name].shape for new, name in renamed.items()}
            | {"cls.predictions.bias": (64,)},
            lambda new: tensors.floats(renamed[new]) if new in renamed else np.zeros(64),
        )
    with SafeTensors(tmp_path / "old") as tensors:
        write_bert_weights(tensors, config, tmp_path / "again")
    assert (tmp_path / "plain").read_bytes() == (tmp_path / "again").read_bytes()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"model_type": "deberta"}, "model_type"),
        ({"model_type": None}, "model_type"),
        ({"hidden_act": "silu"}, "hidden_act"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ({"is_decoder": True}, "is_decoder"),
        ({"num_attention_heads": 5}, "num_attention_heads"),
        ({"hidden_size": "16"}, "hidden_size"),
        ({"num_hidden_layers": 0}, "num_hidden_layers"),
        ({"vocab_size": True}, "vocab_size"),
        ({"model_type": "roberta", "max_position_embeddings": 1}, "max_position_embeddings"),
    ],
)
def test_what_we_do_not_build_is_refused_by_name(
    data: Path, change: dict[str, Any], field: str
) -> None:
    with pytest.raises(ModelInvalidError) as caught:
        read_bert_config(config_of(data / "tiny-bert") | change)
    assert caught.value.details["field"] == field
    assert "ONNX export" in caught.value.message


def test_positions_of_roberta_start_after_the_padding_id(data: Path) -> None:
    assert read_bert_config(config_of(data / "tiny-roberta")).max_tokens == 22
    assert read_bert_config(config_of(data / "tiny-bert")).max_tokens == 24


def test_distances_have_a_bucket_each_and_then_share_them() -> None:
    away = bucket_of_distance(np.arange(0, -600, -1), 32)
    assert away[:8].tolist() == list(range(8))
    assert (np.diff(away) >= 0).all()
    assert away[113] == away[599] == 15
    ahead = bucket_of_distance(np.arange(1, 600), 32)
    assert (ahead == away[1:] + 16).all()


def test_missing_and_misshapen_weights_are_named(data: Path, tmp_path: Path) -> None:
    folder = data / "tiny-bert"
    with SafeTensors(folder / "model.safetensors") as tensors:
        deeper = read_bert_config(config_of(folder) | {"num_hidden_layers": 3})
        with pytest.raises(ModelInvalidError, match=r"lacks 16 .* 'encoder\.layer\.2\."):
            write_bert_weights(tensors, deeper, tmp_path / "w")
        wider = read_bert_config(config_of(folder) | {"intermediate_size": 32})
        with pytest.raises(ModelInvalidError, match=r"\[24, 16\].*\[32, 16\]"):
            write_bert_weights(tensors, wider, tmp_path / "w")


def test_a_file_without_an_encoder_is_refused(data: Path, tmp_path: Path) -> None:
    write_safetensors(tmp_path / "t", {"lm_head.weight": (2,)}, lambda _: np.zeros(2))
    config = read_bert_config(config_of(data / "tiny-bert"))
    with SafeTensors(tmp_path / "t") as tensors, pytest.raises(ModelInvalidError, match="no BERT"):
        write_bert_weights(tensors, config, tmp_path / "w")
