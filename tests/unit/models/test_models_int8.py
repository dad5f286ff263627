"""The int8 form of a model: its numbers, its bits, and that it lands whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx_exports import export

from emberd.engine.device import Device
from emberd.engine.session import OnnxBackend
from emberd.errors import (
    CancelledRequestError,
    InvalidParamsError,
    ModelInvalidError,
    ModelLoadFailedError,
    ModelNotFoundError,
)
from emberd.models import Floor, ModelStore, Progress, StoredModel, pull
from emberd.models.bert.int8.texts import calibration_texts, held_out_texts
from emberd.models.info import INT8_BUILDER, write_info
from emberd.models.running import embed_rows, open_graph
from emberd.models.safetensors import SafeTensors

TINY = ["tiny-bert", "tiny-bert-tanh", "tiny-bert-relu", "tiny-roberta", "tiny-xlm-roberta"]
ANY = Floor(0.0, -1.0)  # 16 channels of noise are no measure for a floor


def quantised(folder: Path, store: ModelStore, **options: Any) -> StoredModel:
    return pull(str(folder), store, precision="int8", floor=ANY, **options)


def random_rows(count: int, width: int) -> list[list[int]]:
    found: list[list[int]] = np.random.default_rng(7).integers(4, 60, (count, width)).tolist()
    return found


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("kind", TINY)
def test_every_architecture_comes_close_to_its_exact_model(
    make_folder: Callable[..., Path], store: ModelStore, kind: str, pooling: str
) -> None:
    model = quantised(make_folder(kind, pooling=pooling), store)
    exact = store.get("tiny")
    assert model.info.accuracy is not None
    assert model.info.accuracy.texts == len(held_out_texts())
    assert model.info.accuracy.mean_cosine > 0.999
    rows = random_rows(16, 9)
    vectors = embed_rows(open_graph(model.graph, "bert"), rows)
    wanted = embed_rows(open_graph(exact.graph, "bert"), rows)
    # Ids that calibration never met: what is off is noise, not a wrong sum.
    assert (vectors * wanted).sum(axis=1).min() > 0.97


def test_both_forms_stand_side_by_side(make_folder: Callable[..., Path], store: ModelStore) -> None:
    model = quantised(make_folder(), store)
    exact = store.get("tiny")
    assert [found.info.name for found in store.list()] == ["tiny", "tiny:int8"]
    assert store.get("tiny:INT8").info == model.info
    assert (model.info.precision, exact.info.precision) == ("int8", "exact")
    assert model.info.fingerprint != exact.info.fingerprint
    assert model.info.exact_fingerprint == exact.info.fingerprint
    store.verify(model)
    store.remove("tiny:int8")
    assert store.list() == [exact]


def test_every_linear_layer_multiplies_int8(
    make_folder: Callable[..., Path], store: ModelStore
) -> None:
    model = quantised(make_folder(), store)
    graph = onnx.load(model.graph, load_external_data=False).graph
    assert [value.name for value in graph.input] == ["input_ids"]
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("MatMulIntegerToFloat") == 6 * model.info.layers
    assert kinds.count("Gemm") == model.info.layers  # outliers
    with SafeTensors(model.folder / "model.safetensors") as weights:
        dense = {name: slot for name, slot in weights.slots.items() if ".dense.weight" in name}
    assert len(dense) == 3 * model.info.layers
    assert {slot.dtype for slot in dense.values()} == {"I8"}
    onnx.checker.check_model(str(model.graph))


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_text_has_the_same_bits_alone_in_a_batch_and_on_any_threads(
    make_folder: Callable[..., Path], store: ModelStore, pooling: str
) -> None:
    model = quantised(make_folder(pooling=pooling), store)
    device = Device("cpu", "cpu", "CPUExecutionProvider", callers=2, batch_tokens=512)
    backend = OnnxBackend(model, device)
    texts = ["a", "text", "the same long window", "short text", "a the a the a the a", "long"]
    rows = [row for row in backend.encode(texts, "end") if not isinstance(row, Exception)]
    alone = {row.ids: backend.embed([row], row.length, alone=True)[0].tobytes() for row in rows}
    assert backend.equal_only

    def differs(turn: int) -> bool:
        row = rows[turn % len(rows)]
        batch = [row] * (1 + turn % 7)
        vectors = backend.embed(batch, row.length, alone=turn % 5 == 0)
        return {vector.tobytes() for vector in vectors} != {alone[row.ids]}

    with ThreadPoolExecutor(4) as callers:
        assert not any(callers.map(differs, range(60)))
    many = random_rows(33, 9)
    session = open_graph(model.graph, "bert")
    together = embed_rows(session, many)
    assert all(
        np.array_equal(embed_rows(session, [row])[0], found)
        for row, found in zip(many, together, strict=True)
    )


def test_what_falls_under_the_floor_is_refused_with_its_figures(
    make_folder: Callable[..., Path], store: ModelStore
) -> None:
    folder = make_folder()
    with pytest.raises(ModelInvalidError, match="not installed") as caught:
        pull(str(folder), store, precision="int8", floor=Floor(mean=1.0, least=0.5))
    details = caught.value.details
    assert details["mean_cosine"] < details["floor_mean"] == 1.0
    assert f"{details['mean_cosine']:.4f}" in caught.value.message
    with pytest.raises(ModelInvalidError):
        pull(str(folder), store, precision="int8", floor=Floor(mean=0.0, least=1.0))
    assert [model.info.name for model in store.list()] == ["tiny"]


@pytest.mark.parametrize("step", ["calibrate", "measure", "check", "install"])
def test_a_pull_that_is_given_up_leaves_the_exact_model_alone(
    make_folder: Callable[..., Path], store: ModelStore, step: str
) -> None:
    folder = make_folder()
    exact = pull(str(folder), store)
    reached: set[str] = set()

    def progress(now: Progress) -> None:
        if now.step == "calibrate" or reached:  # the exact model has steps of the same names
            reached.add(now.step)

    with pytest.raises(CancelledRequestError):
        quantised(folder, store, progress=progress, cancelled=lambda: step in reached)
    assert store.list() == [exact]
    assert not list((store.root / ".incoming").iterdir())


def test_what_is_there_is_kept_and_what_an_older_emberd_made_is_made_anew(
    make_folder: Callable[..., Path], store: ModelStore
) -> None:
    folder = make_folder()
    first = quantised(folder, store)
    steps: list[Progress] = []
    assert quantised(folder, store, progress=steps.append).info == first.info
    assert "calibrate" not in {now.step for now in steps}
    write_info(first.folder, msgspec.structs.replace(first.info, builder=INT8_BUILDER - 1))
    again = quantised(folder, store)
    assert (again.info.builder, again.info.fingerprint) == (INT8_BUILDER, first.info.fingerprint)
    (first.folder / "model.safetensors").write_bytes(b"damaged")
    store.verify(quantised(folder, store))


def test_the_precision_may_be_part_of_either_name(
    make_folder: Callable[..., Path], store: ModelStore
) -> None:
    assert pull(f"{make_folder()}:int8", store, floor=ANY).info.name == "tiny:int8"
    assert quantised(make_folder(name="other"), store, name="mine").info.name == "mine:int8"
    named = pull(str(make_folder(name="third")), store, name="yours:int8", floor=ANY)
    assert named.info.name == "yours:int8"


def test_what_cannot_be_made_int8_is_named(
    make_folder: Callable[..., Path], store: ModelStore
) -> None:
    folder = make_folder()
    with pytest.raises(InvalidParamsError, match="exact, int8") as caught:
        pull(str(folder), store, precision="int4")  # type: ignore[arg-type]
    assert caught.value.details["field"] == "precision"
    with pytest.raises(ModelNotFoundError, match="models pull all-MiniLM-L6-v2:int8"):
        store.get("all-minilm-l6-v2:int8")
    (folder / "model.safetensors").unlink()
    export(folder / "model.onnx")
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 7}')
    with pytest.raises(ModelInvalidError, match="tiny is an ONNX export"):
        quantised(folder, store)


def test_a_gpu_is_refused_before_anything_is_loaded(
    make_folder: Callable[..., Path], store: ModelStore
) -> None:
    model = quantised(make_folder(), store)
    device = Device("cuda", "GPU 0", "CUDAExecutionProvider", callers=2, batch_tokens=512)
    with pytest.raises(ModelLoadFailedError, match=r"Use tiny, or set engine\.device"):
        OnnxBackend(model, device)


def test_calibration_and_measure_share_no_text() -> None:
    calibrated, measured = calibration_texts(), held_out_texts()
    long_ones = {text for text in measured if len(text) > 20}
    assert not long_ones & set(calibrated)
    assert calibrated == calibration_texts()
    assert (len(calibrated) >= 250, len(measured) >= 100) == (True, True)
    words = sorted(len(text.split()) for text in calibrated)
    assert (words[0], words[-1] > 256) == (1, True)
