"""Other programs: where they are installed, what they are given, how they are asked."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from bench.peers.environment import environment
from bench.peers.folder import write_model_folder
from bench.peers.process import Peer, started
from bench.plain_graph import plain_bert

from emberd.models import DEFAULT_MODEL, ModelStore


def test_the_folder_for_others_has_the_same_model(
    default_model_store: Path, tmp_path: Path
) -> None:
    model = ModelStore(default_model_store).find(DEFAULT_MODEL)
    assert model is not None
    write_model_folder(model, tmp_path)
    feeds = {
        "input_ids": np.array([[101, 2543, 102], [101, 102, 0]], np.int64),
        "attention_mask": np.array([[1, 1, 1], [1, 1, 0]], np.int64),
    }
    hidden = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(None, feeds)[0]
    mask = feeds["attention_mask"][..., None]
    pooled = (hidden * mask).sum(axis=1) / mask.sum(axis=1)
    pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
    direct = onnxruntime.InferenceSession(plain_bert(model)).run(None, feeds)[0]
    np.testing.assert_allclose(pooled, direct, atol=1e-6)
    for name in ("modules.json", "tokenizer_config.json", "1_Pooling/config.json"):
        assert json.loads((tmp_path / name).read_text())


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_an_environment_is_made_once(cache: Path) -> None:
    python = environment("nothing", ("pip",))  # which is there without a registry
    assert python.exists()
    python.with_name("kept").touch()
    assert environment("nothing", ("pip",)) == python
    assert python.with_name("kept").exists()


def test_what_cannot_be_installed_is_left_out_with_pips_words(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(cache / "no-such-package")
    with ExitStack() as stack:
        assert started("x", (missing,), cache, stack) is None
    said = capsys.readouterr().err
    assert "without x: " in said
    assert "cannot be installed here: " in said
    assert "no-such-package" in said


def test_a_peer_that_cannot_start_says_why(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="nobody ended: KeyError: 'nobody'"),
        Peer(Path(sys.executable), "nobody", tmp_path),
    ):
        pass


def test_a_peer_is_asked_for_vectors_and_for_times(tmp_path: Path) -> None:
    with Peer(Path(sys.executable), "http-json", tmp_path) as peer:
        vectors = peer.embed(["a", "b", "a"])
        assert vectors.shape == (3, 384)
        np.testing.assert_array_equal(vectors[0], vectors[2])
        assert peer.seconds(["a", "b"], repeats=3) > 0
