"""The default model's graph against vectors that torch computed (scripts/reference_vectors.py)."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from tokenizers import Tokenizer

from emberd.models import DEFAULT_MODEL, ModelStore, StoredModel
from emberd.models.build import rebuild_model
from emberd.models.info import write_info
from emberd.models.progress import Watch

LEAST_COSINE = 0.99999


@pytest.fixture(scope="module")
def texts(data: Path) -> list[str]:
    texts: list[str] = runpy.run_path(str(data / "reference_texts.py"))["reference_texts"]()
    return texts


@pytest.fixture(scope="module")
def reference(data: Path) -> dict[str, np.ndarray]:
    return dict(np.load(data / "reference_all-MiniLM-L6-v2.npz"))


@pytest.fixture(scope="module")
def model(default_model_store: Path, tmp_path_factory: pytest.TempPathFactory) -> StoredModel:
    """The default model, built by the code under test and not by what filled the store."""
    stored = ModelStore(default_model_store).get(DEFAULT_MODEL)
    folder = tmp_path_factory.mktemp("built")
    info = rebuild_model(stored, folder, Watch())
    write_info(folder, info)
    return StoredModel(info, folder)


@pytest.fixture(scope="module")
def session(model: StoredModel) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model.graph, options, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def ids(model: StoredModel, texts: list[str]) -> list[list[int]]:
    tokenizer = Tokenizer.from_file(str(model.tokenizer))
    tokenizer.no_padding()
    tokenizer.enable_truncation(model.info.max_tokens)
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(texts)]


def embed(session: ort.InferenceSession, batch: list[list[int]]) -> np.ndarray:
    widest = max(map(len, batch))
    ids = np.array([row + [0] * (widest - len(row)) for row in batch])
    mask = np.array([[1] * len(row) + [0] * (widest - len(row)) for row in batch])
    vectors: np.ndarray = session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
    return vectors


def test_there_are_at_least_200_texts_and_they_are_the_ones_of_the_file(
    ids: list[list[int]], reference: dict[str, np.ndarray]
) -> None:
    assert len(ids) >= 200
    assert reference["vectors"].shape == (len(ids), 384)
    assert [len(row) for row in ids] == reference["tokens"].tolist()
    assert max(map(len, ids)) == 256


def test_every_text_alone_has_the_vector_of_torch(
    session: ort.InferenceSession,
    ids: list[list[int]],
    texts: list[str],
    reference: dict[str, np.ndarray],
) -> None:
    for text, row, expected in zip(texts, ids, reference["vectors"], strict=True):
        vector = embed(session, [row])[0]
        assert abs(np.linalg.norm(vector) - 1.0) < 1e-5
        assert vector @ expected >= LEAST_COSINE, text[:60]


def test_they_have_it_in_padded_batches_too(
    session: ort.InferenceSession, ids: list[list[int]], reference: dict[str, np.ndarray]
) -> None:
    short = [row for row, tokens in enumerate(ids) if len(tokens) <= 48]
    longest = max(range(len(ids)), key=lambda row: len(ids[row]))
    batches = [short[start::4] for start in range(4)]  # strided: short beside long
    for rows in (*batches, [*short[::40], longest]):
        vectors = embed(session, [ids[row] for row in rows])
        cosines = (vectors * reference["vectors"][rows]).sum(axis=1)
        assert cosines.min() >= LEAST_COSINE


def test_building_again_keeps_the_fingerprint(
    default_model_store: Path, model: StoredModel
) -> None:
    stored = ModelStore(default_model_store).get(DEFAULT_MODEL)
    assert model.info.fingerprint == stored.info.fingerprint
    assert model.info.files["model.safetensors"] == stored.info.files["model.safetensors"]
    # Any change here makes every cache on every machine start anew: it must be meant.
    assert model.info.fingerprint == "1145a013057b3469af2b6369c5398810"
