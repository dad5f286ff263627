"""The int8 form of the default model through the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emberd.cli.model_rows import accuracy_text
from emberd.cli.progress import pull_text
from emberd.models import DEFAULT_MODEL, ModelStore, Progress, StoredModel
from emberd.models.running import embed_rows, open_graph, token_ids

# Neither calibrated on nor measured with.
TEXTS = [
    "Where did I leave my keys?",
    "The orchard behind the school belongs to nobody, so everybody picks the apples.",
    "def add(a, b): return a + b",
    "Der Zug nach Ulm hat heute zwanzig Minuten Verspätung.",
    "invoice 2041, due on the first of May, 1,250.00 EUR",
    "A short story about a very long road. " * 20,
]
NAME = f"{DEFAULT_MODEL}:int8"


@pytest.fixture
def stocked(int8_model_store: Path, home: Path) -> Path:
    (home / "data").mkdir(parents=True, mode=0o700)
    (home / "data" / "models").symlink_to(int8_model_store)
    return home


def vectors_of(model: StoredModel) -> np.ndarray:
    ids = token_ids(model.tokenizer, TEXTS, model.info.max_tokens)
    session = open_graph(model.graph, "bert")
    return np.concatenate([embed_rows(session, [row]) for row in ids])


def test_the_default_model_in_int8_is_pulled_listed_and_described(
    run_cli: Any, stocked: Path
) -> None:
    pulled = run_cli("models", "pull", DEFAULT_MODEL, "--precision", "int8", "--json").json
    assert (pulled["name"], pulled["precision"], pulled["dim"]) == (NAME, "int8", 384)
    assert pulled["accuracy"]["mean_cosine"] >= 0.999
    assert pulled["accuracy"]["least_cosine"] >= 0.995
    rows = {row["name"]: row for row in run_cli("models", "list", "--json").json}
    assert rows[NAME]["accuracy"] == pulled["accuracy"]
    assert rows[DEFAULT_MODEL]["accuracy"] is None
    assert rows[NAME]["fingerprint"] != rows[DEFAULT_MODEL]["fingerprint"]
    assert f"int8 {pulled['accuracy']['mean_cosine']:.4f}/" in run_cli("models", "list").out
    described = run_cli("models", "info", NAME.lower()).out
    assert f"{pulled['accuracy']['least_cosine']:.4f} at least" in described
    store = ModelStore(stocked / "data" / "models")
    cosines = (vectors_of(store.get(NAME)) * vectors_of(store.get(DEFAULT_MODEL))).sum(axis=1)
    assert cosines.min() >= 0.995


def test_an_unknown_precision_is_refused_before_anything_is_fetched(
    run_cli: Any, home: Path
) -> None:
    refused = run_cli("models", "pull", DEFAULT_MODEL, "--precision", "int4")
    assert refused.code == 2
    assert "'exact', 'int8'" in refused.err
    assert not (home / "data").exists()


def test_doctor_warns_of_an_int8_model_that_gains_nothing(
    run_cli: Any, int8_model_store: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = home / "data" / "models" / f"{DEFAULT_MODEL}+int8"
    folder.mkdir(parents=True)
    (home / "data").chmod(0o700)
    for file in (int8_model_store / folder.name).iterdir():
        (folder / file.name).symlink_to(file)
    info = json.loads((folder / "emberd.json").read_text())
    info["accuracy"]["speedup"] = 0.9
    (folder / "emberd.json").unlink()
    (folder / "emberd.json").write_text(json.dumps(info))
    monkeypatch.setenv("EMBERD_MODELS__DEFAULT", NAME)
    found = {row["name"]: row for row in run_cli("doctor", "--json").json["findings"]}["model"]
    assert found["state"] == "warn"
    assert f'models.default = "{DEFAULT_MODEL}"' in found["advice"]


def test_figures_in_one_line_warn_where_int8_gains_little() -> None:
    figures = {"mean_cosine": 0.99912, "least_cosine": 0.9967, "texts": 158, "speedup": 2.4}
    assert accuracy_text(figures).endswith("0.9967 at least (158 texts); 2.4 times as quick")
    assert "better use the exact model" in accuracy_text(figures | {"speedup": 1.1})


def test_calibration_counts_texts_and_not_bytes() -> None:
    text = pull_text(Progress("calibrate", DEFAULT_MODEL, 40, 800), is_ascii=True)
    assert text.startswith("calibrating")
    assert text.endswith("40 of 800 texts")
    assert len(text) < 80
