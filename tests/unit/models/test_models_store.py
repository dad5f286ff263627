"""The store: a model is there whole or not at all, and what is there is what was checked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from emberd.errors import (
    CancelledRequestError,
    ChecksumMismatchError,
    InvalidParamsError,
    ModelNotFoundError,
    StorageError,
)
from emberd.models import ModelInfo, ModelStore, StoredModel, pull
from emberd.models.info import fingerprint_of, read_info, write_info
from emberd.models.progress import Watch


@pytest.fixture
def tiny(make_folder: Callable[..., Path], store: ModelStore) -> StoredModel:
    return pull(str(make_folder()), store)


def test_an_empty_or_absent_store_lists_nothing(store: ModelStore) -> None:
    assert store.list() == []
    assert store.find("anything") is None
    store.tidy()


def test_a_stored_model_is_listed_and_found(store: ModelStore, tiny: StoredModel) -> None:
    assert store.list() == [tiny]
    assert store.find("tiny") == store.get("tiny") == tiny
    assert tiny.graph.is_file()
    assert tiny.tokenizer.is_file()
    assert tiny.size_bytes == sum((tiny.folder / name).stat().st_size for name in tiny.info.files)
    store.verify(tiny)


def test_its_description_survives_the_disk_and_newer_fields(tiny: StoredModel) -> None:
    assert read_info(tiny.folder) == tiny.info
    path = tiny.folder / "emberd.json"
    path.write_bytes(path.read_bytes().replace(b"{", b'{"from_the_future": [1], ', 1))
    assert read_info(tiny.folder) == tiny.info


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"name": 7}'])
def test_a_folder_with_a_broken_description_is_no_model(
    store: ModelStore, tiny: StoredModel, content: bytes
) -> None:
    (tiny.folder / "emberd.json").write_bytes(content)
    assert store.list() == []
    assert store.find("tiny") is None


@pytest.mark.parametrize("name", ["model.onnx", "model.safetensors", "tokenizer.json"])
def test_a_flipped_bit_is_found(store: ModelStore, tiny: StoredModel, name: str) -> None:
    content = bytearray((tiny.folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tiny.folder / name).write_bytes(content)
    with pytest.raises(ChecksumMismatchError, match=f"{name} .*has changed.*models pull tiny"):
        store.verify(tiny)


def test_a_missing_file_is_found(store: ModelStore, tiny: StoredModel) -> None:
    tiny.graph.unlink()
    with pytest.raises(ChecksumMismatchError, match=r"model\.onnx of the model tiny is missing"):
        store.verify(tiny)


def test_an_unknown_model_gets_a_hint(store: ModelStore, tiny: StoredModel) -> None:
    with pytest.raises(ModelNotFoundError, match="Did you mean 'tiny'"):
        store.get("tinny")
    with pytest.raises(ModelNotFoundError, match="models pull all-MiniLM-L6-v2"):
        store.get("sentence-transformers/all-minilm-l6-v2")
    with pytest.raises(ModelNotFoundError, match="models list"):
        store.get("../../etc")


def test_a_removed_model_is_gone(store: ModelStore, tiny: StoredModel) -> None:
    store.remove("tiny")
    assert store.list() == []
    assert not tiny.folder.exists()
    with pytest.raises(ModelNotFoundError):
        store.remove("tiny")


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "a b", "x" * 97, "é", "-a"])
def test_a_name_that_is_no_safe_folder_is_refused(store: ModelStore, name: str) -> None:
    with pytest.raises(InvalidParamsError):
        store.remove(name)
    assert store.find(name) is None


def test_a_newer_model_replaces_the_older_one(
    store: ModelStore, tiny: StoredModel, make_folder: Callable[..., Path]
) -> None:
    other = pull(str(make_folder("tiny-bert-tanh", "other")), store, name="tiny")
    assert store.list() == [other]
    assert other.info.fingerprint != tiny.info.fingerprint
    assert not any((store.root / ".incoming").iterdir())


def test_leftovers_of_an_interrupted_pull_are_cleared_by_the_next(store: ModelStore) -> None:
    with store.incoming("one"):
        pass
    left = store.root / ".incoming" / "one@left"
    left.mkdir()
    (left / "model.onnx").write_bytes(b"half")
    others = store.root / ".incoming" / "two@busy"
    others.mkdir()
    with store.incoming("one") as folder:
        assert not left.exists()
        assert others.exists()
        assert folder.parent == others.parent
    assert not folder.exists()


def test_old_downloads_are_tidied_away_but_not_those_in_use(store: ModelStore) -> None:
    ages = {"fresh": 0.0, "old": 8 * 86_400.0, "busy": 8 * 86_400.0}
    for name, age in ages.items():
        store.downloads(name).mkdir(parents=True)
        os.utime(store.downloads(name), (time.time() - age, time.time() - age))
    with store.lock("busy", Watch()):
        store.tidy()
    left = sorted(folder.name for folder in (store.root / ".downloads").iterdir())
    assert left == ["busy", "fresh"]


def test_waiting_for_the_lock_can_be_cancelled(store: ModelStore) -> None:
    asked = threading.Event()

    def cancelled() -> bool:
        asked.set()
        return True

    with (
        store.lock("m", Watch()),
        pytest.raises(CancelledRequestError),
        store.lock("m", Watch(cancelled=cancelled)),
    ):
        pass
    assert asked.is_set()


HOLDER = """
import sys
from pathlib import Path
from emberd.models import ModelStore
from emberd.models.progress import Watch
with ModelStore(Path(sys.argv[1])).lock("m", Watch()):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_ends_with_its_holder_even_by_kill_9(store: ModelStore) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(store.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with (
            pytest.raises(CancelledRequestError),
            store.lock("m", Watch(cancelled=lambda: True)),
        ):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait(10)
    with store.lock("m", Watch(cancelled=lambda: True)):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_that_may_not_be_written_says_so(store: ModelStore) -> None:
    store.root.mkdir(mode=0o500)
    with pytest.raises(StorageError, match="permissions"), store.lock("m", Watch()):
        pass


def test_a_store_that_is_a_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("not a folder")
    with (
        pytest.raises(StorageError, match="EMBERD_HOME"),
        ModelStore(tmp_path / "store").lock("m", Watch()),
    ):
        pass


def info(**changes: object) -> ModelInfo:
    base = ModelInfo(
        name="m",
        dim=4,
        max_tokens=8,
        pooling="mean",
        source="test",
        family="bert",
        weights_sha256="w",
        files={},
        fingerprint="f" * 32,
    )
    return msgspec.structs.replace(base, **changes)


def test_the_list_reads_descriptions_only(store: ModelStore) -> None:
    for name in ("b", "a"):
        folder = store.root / name
        folder.mkdir(parents=True)
        write_info(folder, info(name=name))
    assert [model.info.name for model in store.list()] == ["a", "b"]


def test_a_fingerprint_changes_with_everything_that_decides_a_vector() -> None:
    base = {
        "weights_sha256": "w",
        "tokenizer_sha256": "t",
        "pooling": "mean",
        "normalize": True,
        "max_tokens": 256,
        "numerics": "f32",
    }
    others = {
        "weights_sha256": "t",
        "tokenizer_sha256": "w",
        "pooling": "cls",
        "normalize": False,
        "max_tokens": 255,
        "numerics": "int8",
    }
    changed = [fingerprint_of(**{**base, key: value}) for key, value in others.items()]  # type: ignore[arg-type]
    seen = {fingerprint_of(**base), *changed}  # type: ignore[arg-type]
    assert len(seen) == 7
    assert all(len(value) == 32 and int(value, 16) >= 0 for value in seen)
