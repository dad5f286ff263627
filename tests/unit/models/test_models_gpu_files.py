"""The graph for a GPU as a file beside its model: built once, never trusted blindly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import onnx
import pytest

from emberd.models import ModelStore, StoredModel, gpu_files, pull
from emberd.models.bert import gpu_graph
from emberd.models.gpu_files import GpuFiles, Measured, has_gpu_graph

FOUND = Measured(runtime="1.2", cosine=0.99999, batch_tokens=4_096)


@pytest.fixture
def model(make_folder: Callable[..., Path], store: ModelStore) -> StoredModel:
    return pull(str(make_folder()), store)


def never(*_: object, **__: object) -> None:
    raise AssertionError("built again")


def test_it_is_built_once_and_read_from_then_on(
    model: StoredModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = GpuFiles(model).load()
    assert isinstance(first, Path)
    onnx.checker.check_model(str(first))
    monkeypatch.setattr(gpu_graph, "build_gpu_graph", never)
    assert GpuFiles(model).load() == first
    leftovers = {path.name for path in model.folder.iterdir()} - set(model.info.files)
    assert leftovers == {"emberd.json", "model.cuda.fused.onnx", "model.cuda.fused.json"}


def test_each_variant_has_a_file_of_its_own(model: StoredModel) -> None:
    assert GpuFiles(model, "plain").load() != GpuFiles(model, "packed").load()


def test_what_was_measured_is_remembered_by_device_and_runtime(model: StoredModel) -> None:
    files = GpuFiles(model)
    files.load()
    files.remember("Test GPU", FOUND)
    files.remember("Other GPU", msgspec.structs.replace(FOUND, batch_tokens=8))
    again = GpuFiles(model)
    again.load()
    assert again.measured("Test GPU", "1.2") == FOUND
    assert again.measured("Test GPU", "1.3") is None
    assert again.measured("A third GPU", "1.2") is None


@pytest.mark.parametrize("part", ["graph", "record"])
def test_a_damaged_file_is_built_anew(model: StoredModel, part: str) -> None:
    path = GpuFiles(model).load()
    assert isinstance(path, Path)
    whole = path.read_bytes()
    broken = path if part == "graph" else path.with_suffix(".json")
    broken.write_bytes(broken.read_bytes()[:-20])
    assert GpuFiles(model).load() == path
    assert path.read_bytes() == whole


def test_the_graph_of_other_weights_is_not_taken(model: StoredModel) -> None:
    files = GpuFiles(model)
    files.load()
    files.remember("Test GPU", FOUND)
    info = msgspec.structs.replace(model.info, weights_sha256="other")
    other = GpuFiles(replace(model, info=info))
    other.load()
    assert other.measured("Test GPU", "1.2") is None


def test_a_store_that_cannot_be_written_to_is_no_failure(
    model: StoredModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("read-only file system")

    before = sorted(path.name for path in model.folder.iterdir())
    monkeypatch.setattr(gpu_files, "_replace", refuse)
    files = GpuFiles(model)
    content = files.load()
    assert isinstance(content, bytes)
    onnx.checker.check_model(content)
    files.remember("Test GPU", FOUND)
    assert files.measured("Test GPU", "1.2") == FOUND
    assert sorted(path.name for path in model.folder.iterdir()) == before


def test_only_exact_models_of_the_family_have_one(model: StoredModel) -> None:
    assert has_gpu_graph(model)
    for change in ({"precision": "int8"}, {"family": "onnx"}):
        assert not has_gpu_graph(replace(model, info=msgspec.structs.replace(model.info, **change)))
    (model.folder / "model.safetensors").unlink()
    assert not has_gpu_graph(model)
