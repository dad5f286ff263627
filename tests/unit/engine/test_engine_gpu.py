"""The way through a GPU's session, run by the CPU provider: what it gives, not how fast."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberd.config import EngineSettings
from emberd.engine import Device, Encoded
from emberd.engine.device import choose_device
from emberd.engine.gpu import fitting_budget, ragged_rows
from emberd.engine.session import OnnxBackend
from emberd.errors import ModelLoadFailedError
from emberd.models import ModelStore, StoredModel
from emberd.models.bert import gpu_graph
from tiny_model import tiny_model

WORDS = ["[PAD]", "[UNK]", "emberd", "keeps", "embeddings", "warm", "text", "words", "longer"]
CPU = Device("cpu", "CPU (test)", "CPUExecutionProvider", 1, 512)
# A GPU in all but its provider.
GPU = replace(CPU, kind="cuda", name="Test GPU", callers=2)


@pytest.fixture
def model(tmp_path: Path) -> StoredModel:
    return tiny_model(ModelStore(tmp_path / "store"), WORDS)


def rows_of(backend: OnnxBackend, *texts: str) -> list[Encoded]:
    found = backend.encode(texts, "end")
    assert all(isinstance(row, Encoded) for row in found)
    return found


def embed(backend: OnnxBackend, *texts: str) -> np.ndarray:
    rows = rows_of(backend, *texts)
    return backend.embed(rows, max(row.length for row in rows))


TEXTS = ["emberd", "embeddings keeps warm words", "longer text " * 9, "warm"]


@pytest.mark.parametrize("variant", ["plain", "fused"])
def test_a_model_on_the_gpus_way_gives_the_exact_vectors(model: StoredModel, variant: str) -> None:
    exact, narrow = OnnxBackend(model, CPU), OnnxBackend(model, GPU, variant=variant)
    assert narrow.note == ""
    assert not narrow.equal_only
    assert ((embed(exact, *TEXTS) * embed(narrow, *TEXTS)).sum(axis=1)).min() >= 0.9999
    assert [path.name for path in model.folder.glob("model.cuda.*.onnx")] == [
        f"model.cuda.{variant}.onnx"
    ]


def test_many_runs_at_once_each_get_their_own_rows(model: StoredModel) -> None:
    backend = OnnxBackend(model, GPU)
    requests = [[TEXTS[at % 4], TEXTS[(at * 3 + 1) % 4]] * (at % 5 + 1) for at in range(40)]
    wanted = [embed(backend, *request) for request in requests]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda request: embed(backend, *request), requests))
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_what_fills_the_device_is_measured_once_and_remembered(
    model: StoredModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    budgets = iter([8_192])
    monkeypatch.setattr("emberd.engine.gpu.fitting_budget", lambda _: next(budgets))
    fitted = replace(GPU, is_fitted=True)
    assert OnnxBackend(model, GPU).batch_tokens == 0
    assert OnnxBackend(model, fitted).batch_tokens == 8_192
    assert OnnxBackend(model, fitted).batch_tokens == 8_192
    assert OnnxBackend(model, GPU).batch_tokens == 0


def test_a_model_that_float16_makes_another_one_runs_in_float32(
    model: StoredModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = gpu_graph.build_gpu_graph

    def spoilt(*args: object, **form: object) -> object:
        graph = build(*args, **form)
        for tensor in graph.graph.initializer:
            if tensor.name.endswith("value.weight"):
                tensor.raw_data = bytes(len(tensor.raw_data))
        return graph

    monkeypatch.setattr(gpu_graph, "build_gpu_graph", spoilt)
    assert "In float16 its vectors are off" in OnnxBackend(model, GPU).note
    monkeypatch.setattr("emberd.engine.gpu.GpuModel._agreement", lambda _: 1.0)
    backend = OnnxBackend(model, GPU)
    assert "In float16 its vectors are off" in backend.note, "remembered, not compared again"
    np.testing.assert_allclose(
        embed(backend, *TEXTS), embed(OnnxBackend(model, CPU), *TEXTS), atol=1e-6
    )


def test_another_tools_export_runs_as_it_is(model: StoredModel) -> None:
    exported = replace(model, info=msgspec.structs.replace(model.info, family="onnx"))
    backend = OnnxBackend(exported, GPU)
    assert "as it was exported" in backend.note
    assert not list(model.folder.glob("model.cuda.*"))
    np.testing.assert_allclose(
        embed(backend, *TEXTS), embed(OnnxBackend(model, CPU), *TEXTS), atol=1e-6
    )


def test_a_provider_that_gives_way_to_the_cpu_is_an_error(model: StoredModel) -> None:
    if choose_device(EngineSettings()).kind == "cuda":
        pytest.skip("this machine's GPU works")
    with pytest.raises(ModelLoadFailedError, match=r"instead of Test GPU|CUDAExecutionProvider"):
        OnnxBackend(model, replace(GPU, provider="CUDAExecutionProvider"))


def test_cuda_is_asked_for_float32_sums_and_little_memory(
    model: StoredModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def refuse(*_: object, providers: list[object]) -> None:
        asked.extend(providers)
        raise RuntimeError("seen enough")

    monkeypatch.setattr("onnxruntime.InferenceSession", refuse)
    with pytest.raises(ModelLoadFailedError, match="seen enough"):
        OnnxBackend(model, replace(GPU, provider="CUDAExecutionProvider", memory_mib=512))
    (name, options), _ = asked
    assert name == "CUDAExecutionProvider"
    assert options["gpu_mem_limit"] == 512 << 20
    assert options["enable_skip_layer_norm_strict_mode"] == "1"


def rates(**seconds: float) -> Callable[[int], float]:
    """A device that takes so many seconds for a batch of `t2048` tokens and so on."""

    def seconds_of(tokens: int) -> float:
        if f"t{tokens}" not in seconds:
            raise MemoryError(tokens)
        return seconds[f"t{tokens}"]

    return seconds_of


def test_the_smallest_batch_that_fills_the_device_is_taken() -> None:
    times = rates(t2048=0.002, t4096=0.003, t8192=0.0041, t16384=0.0080, t32768=0.016)
    assert fitting_budget(times) == 8_192


def test_a_batch_never_keeps_a_query_waiting_for_long() -> None:
    assert fitting_budget(rates(t2048=0.02, t4096=0.039, t8192=0.06)) == 2_048
    assert fitting_budget(rates(t2048=0.3)) == 2_048


def test_a_device_that_cannot_run_the_smallest_batch_says_so() -> None:
    with pytest.raises(MemoryError):
        fitting_budget(rates())


@given(st.lists(st.lists(st.integers(1, 1 << 30), min_size=1, max_size=9), min_size=1))
def test_ragged_rows_are_padded_at_their_end(rows: list[list[int]]) -> None:
    width = max(map(len, rows))
    encoded = [Encoded(array("i", ids).tobytes(), len(ids), truncated=False) for ids in rows]
    feeds = ragged_rows(encoded, width, pad_id=0)
    assert feeds["input_ids"].tolist() == [ids + [0] * (width - len(ids)) for ids in rows]
    assert feeds["lengths"].tolist() == [len(ids) for ids in rows]
    assert {array.dtype for array in feeds.values()} == {np.dtype(np.int32)}
