"""The plugin against emberd's own engine, alone and in a daemon."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("emberd_openvino.library", exc_type=ImportError)

from openvino_kit import WORDS, embedder_over, tiny_store

from emberd.config import EngineSettings
from emberd.engine import Engine
from emberd.errors import UpstreamUnavailableError
from emberd.models import ModelStore
from emberd.testing import InProcessDaemon
from emberd_openvino import plugin as plugin_module
from emberd_openvino.plugin import OpenVinoPlugin
from emberd_openvino.processor import computes_in_bf16

TEXTS = [" ".join(WORDS[4 + (n * k) % 12] for k in range(1 + n % 9)) for n in range(40)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    return tiny_store(tmp_path_factory.mktemp("openvino"))


async def exact(store: ModelStore, texts: list[str]) -> np.ndarray:
    model = store.get("tiny")
    engine = Engine(EngineSettings(device="cpu", threads=1))
    await engine.start()
    await engine.load(model)
    found = await asyncio.gather(*engine.submit(model.info.fingerprint, texts))
    await engine.close()
    return np.stack([each.vector for each in found])


@pytest.mark.parametrize(
    ("data", "pooling"),
    [
        ("tiny-bert", "mean"),
        ("tiny-bert", "cls"),
        ("tiny-bert-tanh", "mean"),
        ("tiny-bert-relu", "mean"),
        ("tiny-roberta", "mean"),
    ],
)
async def test_vectors_are_those_of_the_engine(tmp_path: Path, data: str, pooling: str) -> None:
    store = tiny_store(tmp_path, data=data, pooling=pooling)
    embedder = embedder_over(store, tmp_path)
    (model,) = await embedder.models()
    assert model.name == "tiny@openvino"
    assert (model.precision, model.fallback) == ("bf16", "tiny")
    assert model.fingerprint != store.get("tiny").info.fingerprint
    found = await embedder.embed(model.name, TEXTS, "end")
    alone = [(await embedder.embed(model.name, [text], "end"))[0] for text in TEXTS[:5]]
    await embedder.close()
    vectors = np.stack([each.vector for each in found])
    assert (vectors * await exact(store, TEXTS)).sum(axis=1).min() >= 0.999
    assert np.stack([each.vector for each in alone]).tobytes() == vectors[:5].tobytes()
    assert [each.tokens for each in found] == [len(text.split()) + 2 for text in TEXTS]


async def test_a_model_that_it_has_no_form_for_is_refused_in_words(tmp_path: Path) -> None:
    embedder = embedder_over(tiny_store(tmp_path, data="tiny-mpnet"), tmp_path)
    await embedder.models()
    with pytest.raises(UpstreamUnavailableError, match="MPNet"):
        await embedder.embed("tiny@openvino", ["w1"], "end")
    await embedder.close()


async def test_a_text_is_cut_where_it_is_asked_for(store: ModelStore, tmp_path: Path) -> None:
    embedder = embedder_over(store, tmp_path)
    (model,) = await embedder.models()
    long = "w1 " * (2 * model.max_tokens)
    (cut,) = await embedder.embed(model.name, [long], "start")
    (refused,) = await embedder.embed(model.name, [long], "error")
    assert (cut.is_truncated, cut.tokens) == (True, model.max_tokens)
    assert refused.code == "TEXT_TOO_LONG"
    await embedder.close()


async def test_a_compiled_model_is_kept_where_nobody_else_looks(
    store: ModelStore, tmp_path: Path
) -> None:
    (tmp_path / "compiled" / "of a model that was removed").mkdir(parents=True, mode=0o700)
    for damage, threads in ((b"", 1), (b"no model", 1), (b"", 2)):
        embedder = embedder_over(store, tmp_path, threads=threads)
        (model,) = await embedder.models()
        (found,) = await embedder.embed(model.name, ["w1 w2"], "end")
        assert np.linalg.norm(found.vector) == pytest.approx(1, abs=1e-2)
        await embedder.close()
        (folder,) = (tmp_path / "compiled").iterdir()
        assert folder.name == model.fingerprint
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (file,) = folder.iterdir()
        file.chmod(0o600)
        file.write_bytes(damage)  # the next start must not stumble over it


async def test_an_idle_model_leaves_and_comes_back(store: ModelStore, tmp_path: Path) -> None:
    embedder = embedder_over(store, tmp_path, keep_alive=0)
    (model,) = await embedder.models()
    for _ in range(2):
        await embedder.embed(model.name, ["w1"], "end")
        while embedder.stats()["in_memory"]:  # noqa: ASYNC110 - nothing else tells it
            await asyncio.sleep(0.002)
    assert embedder.stats()["texts"] == 2
    await embedder.close()


async def test_a_model_that_was_replaced_says_what_to_do(tmp_path: Path) -> None:
    store = tiny_store(tmp_path)
    embedder = embedder_over(store, tmp_path)
    (model,) = await embedder.models()
    store.remove("tiny")
    with pytest.raises(UpstreamUnavailableError, match="emberd restart"):
        await embedder.embed(model.name, ["w1"], "end")
    await embedder.close()


async def test_an_empty_store_is_asked_again(tmp_path: Path) -> None:
    embedder = embedder_over(ModelStore(tmp_path / "none"), tmp_path)
    with pytest.raises(UpstreamUnavailableError, match="emberd models pull"):
        await embedder.models()
    await embedder.close()


async def test_nothing_is_left_behind(store: ModelStore, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    embedder = embedder_over(store, tmp_path, models=["tiny"])
    (model,) = await embedder.models()
    await embedder.embed(model.name, TEXTS, "end")
    await embedder.close()
    left = {thread.name for thread in set(threading.enumerate()) - before}
    assert not {name for name in left if name.startswith("emberd")}


def test_only_cpus_that_compute_in_bf16_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    for flags, expected in (("fpu avx512_bf16", True), ("amx_bf16", True), ("avx512f", False)):
        file.write_text(f"processor : 0\nflags : {flags}\nbogomips : 1\n")
        assert computes_in_bf16(file) is expected
    assert not computes_in_bf16(tmp_path / "none")


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InProcessDaemon:
    monkeypatch.setattr(plugin_module, "computes_in_bf16", lambda: True)
    settings = {"models": {"default": "tiny", "embedder": "openvino"}}
    daemon = InProcessDaemon(plugins={"openvino": OpenVinoPlugin()}, settings=settings)
    daemon.paths.data.mkdir(mode=0o700, parents=True)
    os.symlink(tiny_store(tmp_path).root, daemon.paths.models)
    return daemon


def test_the_daemon_keeps_its_vectors_apart_from_the_engines(daemon: InProcessDaemon) -> None:
    with daemon:
        client = daemon.client()
        ours = client.embed_detailed(TEXTS)
        assert (ours.model, ours.hits) == ("tiny@openvino", {})
        assert client.hello().default_model == "tiny@openvino"
        own = client.embed_detailed(TEXTS, model="tiny")
        assert own.hits == {}
        assert client.embed_detailed(TEXTS).hits == {"memory": len(TEXTS)}
        assert (ours.vectors * own.vectors).sum(axis=1).min() >= 0.999
        rows = {row["name"]: row for row in client.models_list()}
        assert rows["tiny@openvino"]["precision"] == "bf16"
        (stats,) = [each for each in client.plugins() if each.name == "openvino"]
        assert stats.state == "enabled"


def test_what_openvino_cannot_load_the_engine_answers(daemon: InProcessDaemon) -> None:
    with daemon:
        client = daemon.client()
        folder = daemon.paths.models / "tiny"
        client.embed("w1", model="tiny")
        (folder / "config.json").write_text("{")
        found = client.embed_detailed(["w2"])
        assert found.model == "tiny"


def test_a_cpu_that_cannot_is_told(
    daemon: InProcessDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin_module, "computes_in_bf16", lambda: False)
    with daemon:
        (stats,) = [each for each in daemon.client().plugins() if each.name == "openvino"]
        assert stats.state == "check_error"
        assert "avx512_bf16" in stats.message
        assert daemon.client().embed_detailed(["w1"]).model == "tiny"  # the engine answers
        assert "model.embedder_absent" in [line.event for line in daemon.client().log_lines().lines]


def test_nobody_is_told_that_openvino_is_used(tmp_path: Path) -> None:
    words = "import sys, emberd_openvino.library; print('openvino_telemetry.main' in sys.modules)"
    environment = os.environ | {"HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run(
        [sys.executable, "-c", words], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout == "False\n"
    assert list(tmp_path.iterdir()) == []
