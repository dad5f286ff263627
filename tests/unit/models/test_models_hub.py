"""Pulling from the Hub, against a real server that speaks its protocol and misbehaves."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants, file_download
from local_hub import LocalHub, snapshot
from onnx_exports import export

from emberd.errors import (
    CancelledRequestError,
    ChecksumMismatchError,
    DownloadFailedError,
    ModelInvalidError,
    ModelNotFoundError,
)
from emberd.models import ModelStore, Progress, pull
from emberd.models.progress import Watch
from emberd.models.sources import hub_client
from emberd.models.sources.hub import fetch_cached, fetch_hub

REPO = "someone/tiny-model"
WEIGHTS = "model.safetensors"


@pytest.fixture
def hub(make_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    files = snapshot(make_folder(name="published"))
    files |= {"pytorch_model.bin": b"x" * 9_999, "openvino/model.xml": b"<xml/>", "README.md": b"#"}
    # The library waits a second before it resumes; the server here needs no rest.
    monkeypatch.setattr(file_download, "time", types.SimpleNamespace(sleep=lambda _: None))
    monkeypatch.setattr(hub_client, "WRITE_BYTES", 1_000)
    with LocalHub({REPO: files}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        yield server


@pytest.fixture
def into(tmp_path: Path) -> Path:
    return tmp_path / "downloads"


def test_only_what_is_needed_is_fetched(hub: LocalHub, into: Path) -> None:
    fetched = fetch_hub(REPO, "main", into, Watch())
    assert set(hub.fetched()) == {
        "config.json",
        "tokenizer.json",
        "modules.json",
        "1_Pooling/config.json",
        WEIGHTS,
    }
    assert fetched.origin == f"hub:{REPO}@{hub.commit}"
    assert fetched.licence == "apache-2.0"
    for name in hub.fetched():
        assert (into / name).read_bytes() == hub.repos[REPO][name]


def test_a_server_cannot_write_outside_the_folder(hub: LocalHub, into: Path) -> None:
    outside = {"../1_Pooling/config.json": b"{}", "/tmp/1_Pooling/config.json": b"{}"}
    hub.repos[REPO] |= outside
    fetch_hub(REPO, "main", into, Watch())
    assert not (into.parent / "1_Pooling").exists()
    assert not set(hub.fetched()) & set(outside)


@pytest.mark.parametrize("name", ["a--b/c", "a/b..c", "a/" + "b" * 97])
def test_what_cannot_be_a_name_on_the_hub_is_not_found(store: ModelStore, name: str) -> None:
    with pytest.raises(ModelNotFoundError, match="owner/name"):
        pull(name, store, name="m")


def test_a_pull_from_the_hub_gives_a_checked_model(hub: LocalHub, store: ModelStore) -> None:
    steps: list[Progress] = []
    model = pull(REPO, store, progress=steps.append)
    assert store.list() == [model]
    assert model.info.name == "tiny-model"
    assert model.info.source == f"hub:{REPO}@{hub.commit}"
    assert model.info.licence == "apache-2.0"
    assert not store.downloads("tiny-model").exists()
    size = len(hub.repos[REPO][WEIGHTS])
    assert Progress("download", f"{REPO}/{WEIGHTS}", size, size) in steps
    assert [step.step for step in steps if step.step in ("check", "install")] == [
        "check",
        "install",
    ]


def test_a_model_that_is_there_asks_nobody(hub: LocalHub, store: ModelStore) -> None:
    first = pull(REPO, store)
    hub.requests.clear()
    assert pull(REPO, store) == first
    assert hub.requests == []
    assert pull(REPO, store, refresh=True) == first
    assert WEIGHTS in hub.fetched()


def test_a_connection_that_breaks_is_taken_up_where_it_broke(hub: LocalHub, into: Path) -> None:
    hub.cut[WEIGHTS] = [10_000, 5_000]
    fetch_hub(REPO, "main", into, Watch())
    assert hub.ranges(WEIGHTS) == ["", "bytes=10000-", "bytes=15000-"]
    assert (into / WEIGHTS).read_bytes() == hub.repos[REPO][WEIGHTS]


def test_a_server_that_dies_leaves_a_download_to_resume(
    hub: LocalHub, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.cut[WEIGHTS] = [12_000] + [0] * 20
    with pytest.raises(DownloadFailedError, match="what has arrived is kept"):
        pull(REPO, store)
    assert store.list() == []
    with LocalHub(hub.repos) as reborn:
        monkeypatch.setenv("HF_ENDPOINT", reborn.endpoint)
        assert pull(REPO, store).info.name == "tiny-model"
    assert reborn.fetched() == [WEIGHTS]
    assert reborn.ranges(WEIGHTS) == ["bytes=12000-"]


def test_a_server_that_cannot_resume_starts_the_file_again(hub: LocalHub, into: Path) -> None:
    hub.cut[WEIGHTS] = [10_000]
    hub.ignores_ranges = True
    fetch_hub(REPO, "main", into, Watch())
    assert (into / WEIGHTS).read_bytes() == hub.repos[REPO][WEIGHTS]


@pytest.mark.parametrize("name", [WEIGHTS, "config.json"])
def test_a_damaged_file_is_thrown_away_and_fetched_anew(
    hub: LocalHub, store: ModelStore, name: str
) -> None:
    content = hub.repos[REPO][name]
    hub.damage[name] = content[:-1] + bytes([content[-1] ^ 1])
    with pytest.raises(ChecksumMismatchError, match=f"{name} of {REPO} arrived damaged"):
        pull(REPO, store)
    assert store.list() == []
    assert not list(store.downloads("tiny-model").rglob(f"{name}*"))
    hub.damage.clear()
    assert pull(REPO, store).info.name == "tiny-model"


def test_a_part_of_another_revision_is_not_continued(hub: LocalHub, into: Path) -> None:
    hub.cut[WEIGHTS] = [10_000] + [0] * 20
    with pytest.raises(DownloadFailedError):
        fetch_hub(REPO, "main", into, Watch())
    hub.cut.clear()
    hub.requests.clear()
    hub.commit = "d" * 40
    other = hub.repos[REPO][WEIGHTS][:-4] + b"\0\0\0\0"
    hub.repos[REPO][WEIGHTS] = other
    fetch_hub(REPO, "main", into, Watch())
    assert hub.ranges(WEIGHTS) == [""]
    assert (into / WEIGHTS).read_bytes() == other


def test_a_download_stops_when_it_is_cancelled(hub: LocalHub, store: ModelStore) -> None:
    seen: list[str] = []
    with pytest.raises(CancelledRequestError):
        pull(
            REPO,
            store,
            progress=lambda step: seen.append(step.what),
            cancelled=lambda: bool(seen and seen[-1].endswith(WEIGHTS)),
        )
    assert store.list() == []


def test_an_unknown_repository_is_not_found(hub: LocalHub, store: ModelStore) -> None:
    with pytest.raises(ModelNotFoundError, match="no model someone/else"):
        pull("someone/else", store)


def test_a_gated_repository_says_what_to_do(hub: LocalHub, store: ModelStore) -> None:
    hub.answers[f"/api/models/{REPO}/revision/main"] = (403, {"X-Error-Code": "GatedRepo"})
    with pytest.raises(DownloadFailedError, match="HF_TOKEN"):
        pull(REPO, store)


def test_a_missing_file_or_a_server_error_is_a_failed_download(
    hub: LocalHub, store: ModelStore
) -> None:
    path = f"/{REPO}/resolve/{hub.commit}/{WEIGHTS}"
    for answer in ((404, {"X-Error-Code": "EntryNotFound"}), (500, {})):
        hub.answers[path] = answer
        with pytest.raises(DownloadFailedError, match=REPO):
            pull(REPO, store)
    assert store.list() == []


def test_no_server_at_all_is_a_failed_download(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalHub() as gone:
        monkeypatch.setenv("HF_ENDPOINT", gone.endpoint)
    with pytest.raises(DownloadFailedError, match="Check the network"):
        pull(REPO, store)


def test_a_repository_without_a_fast_tokenizer_costs_no_download(
    hub: LocalHub, store: ModelStore
) -> None:
    del hub.repos[REPO]["tokenizer.json"]
    with pytest.raises(ModelInvalidError, match=r"no tokenizer\.json"):
        pull(REPO, store)
    assert hub.fetched() == []


def test_an_architecture_that_we_do_not_build_comes_as_onnx(
    hub: LocalHub, store: ModelStore, tmp_path: Path
) -> None:
    files = hub.repos[REPO]
    files["config.json"] = b'{"model_type": "deberta", "max_position_embeddings": 64}'
    with pytest.raises(ModelInvalidError, match="its type is deberta"):
        pull(REPO, store)
    assert WEIGHTS not in hub.fetched()
    files["onnx/model.onnx"] = export(tmp_path / "m.onnx").read_bytes()
    files["onnx/model_quantized.onnx"] = b"not wanted"
    model = pull(REPO, store)
    assert (model.info.family, model.info.dim, model.info.max_tokens) == ("onnx", 6, 64)
    assert "onnx/model_quantized.onnx" not in hub.fetched()
    assert WEIGHTS not in hub.fetched()


@pytest.fixture
def cached(hub: LocalHub) -> Path:
    """The repository in this machine's own Hub cache."""
    folder = Path(constants.HF_HUB_CACHE) / f"models--{REPO.replace('/', '--')}"
    inner = folder / "snapshots" / hub.commit
    for name, content in hub.repos[REPO].items():
        (inner / name).parent.mkdir(parents=True, exist_ok=True)
        (inner / name).write_bytes(content)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(hub.commit)
    return inner


def test_what_the_hubs_cache_holds_is_not_fetched_again(
    hub: LocalHub, store: ModelStore, cached: Path, into: Path
) -> None:
    assert fetch_hub(REPO, "main", into, Watch()).folder == into
    assert hub.fetched() == []
    hub.requests.clear()
    assert pull(REPO, store).info.source == f"hub:{REPO}@{hub.commit}"
    assert hub.requests == []


def test_offline_only_the_cache_is_used(
    hub: LocalHub, store: ModelStore, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert pull(REPO, store, source="hub").info.name == "tiny-model"
    (cached / WEIGHTS).unlink()
    with pytest.raises(DownloadFailedError, match="HF_HUB_OFFLINE"):
        pull(REPO, store, source="hub", refresh=True)
    assert hub.requests == []


@pytest.mark.parametrize(
    "name", [WEIGHTS, "config.json", "tokenizer.json", "modules.json", "1_Pooling/config.json"]
)
def test_an_incomplete_cache_is_not_used(cached: Path, name: str) -> None:
    assert fetch_cached(REPO, "main") is not None
    (cached / name).unlink()
    assert fetch_cached(REPO, "main") is None


def test_a_damaged_file_in_the_cache_is_fetched_from_the_hub(
    hub: LocalHub, cached: Path, into: Path
) -> None:
    (cached / WEIGHTS).write_bytes(b"damaged")
    fetch_hub(REPO, "main", into, Watch())
    assert hub.fetched() == [WEIGHTS]
    assert (into / WEIGHTS).read_bytes() == hub.repos[REPO][WEIGHTS]
