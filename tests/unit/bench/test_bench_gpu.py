"""The benchmark for a GPU, as far as it goes without one."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bench.benchmark import Bench, LeftOutError
from bench.benchmarks import gpu
from bench.engine import LocalEngine

import emberd.engine.driver
from emberd.config import EngineSettings
from emberd.engine import Device
from emberd.models import ModelStore, StoredModel
from tiny_model import tiny_model

CPU = Device("cpu", "CPU (test)", "CPUExecutionProvider", 1, 512)
TEXTS = ["one", "one two three", "two three " * 5]


@pytest.fixture
def model(tmp_path: Path) -> StoredModel:
    return tiny_model(ModelStore(tmp_path / "store"), ["[PAD]", "[UNK]", "one", "two", "three"])


def test_without_a_cuda_device_it_is_left_out(
    model: StoredModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "choose_device", lambda _: replace(CPU, note="No driver."))
    with pytest.raises(LeftOutError, match=r"no CUDA device here \(No driver\.\)"):
        gpu.run(Bench(model))


def test_a_form_that_does_not_run_is_left_out_and_named(
    model: StoredModel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The CPU's provider, in the GPU's place, has no operators for the packed form."""
    machine = replace(CPU, kind="cuda", name="Test GPU")

    def choose(settings: EngineSettings) -> Device:
        return machine if settings.device == "cuda" else CPU

    monkeypatch.setattr(emberd.engine.driver, "choose_device", choose)
    with ExitStack() as stack:
        with LocalEngine(model, device="cpu") as exact:
            expected = exact.embed(TEXTS)
        found = gpu._engines(Bench(model), TEXTS, expected, stack)
        assert set(found) == {"plain", "fused"}
        assert "without packed: " in capsys.readouterr().err
        speeds = gpu._speeds(Bench(model, peak_tflops=2.0), "mixed", TEXTS, [0.5])
    assert [figure.unit for figure in speeds] == ["texts/s", "tokens/s", "TFLOP/s", "%"]
    assert [figure.value for figure in speeds[:2]] == [6, 28]
    assert speeds[3].value == pytest.approx(50 * speeds[2].value)


def test_the_work_of_a_text_is_counted_by_weights_and_attention(model: StoredModel) -> None:
    config = json.loads((model.folder / "config.json").read_text())
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    a_token = 2 * (3 * hidden * hidden + hidden * hidden + hidden * inner + inner * hidden)
    scores_and_sums = 2 * (7 * 7 * hidden) * 2
    expected = config["num_hidden_layers"] * (7 * a_token + scores_and_sums)
    assert gpu.flops(model, np.array([7])) == expected
    assert gpu.flops(model, np.array([7, 7])) == 2 * expected
    assert gpu.token_counts(model, ["one two", "three"]).tolist() == [2, 1]
