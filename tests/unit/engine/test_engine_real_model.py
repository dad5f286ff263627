"""The default model through the engine: the same text gives the same vector in any company."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from emberd.config import EngineSettings
from emberd.engine import Embedded, Engine
from emberd.engine.device import choose_device
from emberd.engine.gpu import BoundRuns
from emberd.engine.session import OnnxBackend
from emberd.errors import InvalidParamsError, ModelLoadFailedError, TextTooLongError
from emberd.models import ModelStore, StoredModel

BOUND_S = 100
WORDS = ["the", "city", "of", "light", "and", "a", "river", "that", "runs", "south", "for", "miles"]


def texts_of(count: int, longest: int = 60, seed: int = 1) -> list[str]:
    chooser = random.Random(seed)
    return [" ".join(chooser.choices(WORDS, k=chooser.randint(1, longest))) for _ in range(count)]


@pytest.fixture(scope="session")
def model(default_model_store: Path) -> StoredModel:
    return ModelStore(default_model_store).get("all-MiniLM-L6-v2")


@pytest.fixture
async def engine(model: StoredModel) -> AsyncIterator[Engine]:
    made = Engine(EngineSettings(device="cpu"))
    await made.start()
    await made.load(model)
    yield made
    await made.close()


async def embed(engine: Engine, model: StoredModel, *texts: str, **options: str) -> list[Embedded]:
    futures = engine.submit(model.info.fingerprint, texts, **options)
    return await asyncio.wait_for(asyncio.gather(*futures), BOUND_S)


async def test_a_text_has_one_vector_alone_and_among_others(
    engine: Engine, model: StoredModel
) -> None:
    texts = texts_of(40)
    together = await embed(engine, model, *texts)
    for text, embedded in zip(texts, together, strict=True):
        (alone,) = await embed(engine, model, text)
        assert float(alone.vector @ embedded.vector) >= 0.99999
        assert float(np.linalg.norm(embedded.vector)) == pytest.approx(1, abs=1e-5)


async def test_what_was_read_is_counted_exactly(engine: Engine, model: StoredModel) -> None:
    texts = ["", "hello world", "river " * 254, "river " * 255, "river " * 10_000]
    found = await embed(engine, model, *texts)
    assert [one.tokens for one in found] == [2, 4, 256, 256, 256]
    assert [one.truncated for one in found] == [False, False, False, True, True]
    counted = await engine.count_tokens(model.info.fingerprint, texts)
    assert counted == [2, 4, 256, 257, 10_002]


async def test_truncation_keeps_the_end_that_was_asked_for(
    engine: Engine, model: StoredModel
) -> None:
    start, end = "river " * 254, "city " * 254
    long = start + end
    (kept_start,) = await embed(engine, model, long, truncate="end")
    (kept_end,) = await embed(engine, model, long, truncate="start")
    only_start, only_end = await embed(engine, model, start, end)
    assert float(kept_start.vector @ only_start.vector) >= 0.99999
    assert float(kept_end.vector @ only_end.vector) >= 0.99999
    with pytest.raises(TextTooLongError):
        await embed(engine, model, long, truncate="error")


async def test_bad_unicode_fails_alone(engine: Engine, model: StoredModel) -> None:
    futures = engine.submit(model.info.fingerprint, ["fine", "\ud800", "also fine"])
    found = await asyncio.gather(*futures, return_exceptions=True)
    assert isinstance(found[1], InvalidParamsError)
    assert [type(found[0]), type(found[2])] == [Embedded, Embedded]


async def test_several_models_serve_side_by_side(engine: Engine, model: StoredModel) -> None:
    other = replace(model, info=msgspec.structs.replace(model.info, fingerprint="f" * 32))
    await engine.load(other)
    first, second = await asyncio.gather(
        embed(engine, model, *texts_of(10)), embed(engine, other, *texts_of(10))
    )
    assert np.allclose([one.vector for one in first], [one.vector for one in second], atol=1e-5)


async def test_the_provider_in_use_is_shown(engine: Engine) -> None:
    stats = engine.stats()
    assert stats.provider == "CPUExecutionProvider"
    assert stats.device.startswith("CPU (")
    assert engine.is_healthy


def test_the_device_path_gives_what_the_plain_path_gives(model: StoredModel) -> None:
    backend = OnnxBackend(model, choose_device(EngineSettings(device="cpu")))
    rows = [backend.encode([text], "end")[0] for text in ("a river", "a city")]
    plain = backend.embed(rows, rows[0].length)
    backend._gpu = BoundRuns(backend._session)
    bound = backend.embed(rows, rows[0].length)
    assert np.allclose(plain, bound, atol=1e-6)
    backend.close()


@pytest.mark.parametrize("words", ["Failed to allocate memory", "CUDA_ERROR_OUT_OF_MEMORY"])
def test_the_runtimes_words_for_too_little_memory_are_known(model: StoredModel, words: str) -> None:
    backend = OnnxBackend(model, choose_device(EngineSettings(device="cpu", threads=1)))
    assert backend.is_out_of_memory(RuntimeError(words))
    assert backend.is_out_of_memory(MemoryError())
    assert not backend.is_out_of_memory(RuntimeError("bad shape"))
    backend.close()


def test_a_damaged_graph_says_what_to_do(model: StoredModel, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes(model.tokenizer.read_bytes())
    (tmp_path / "model.onnx").write_bytes(b"not a graph")
    broken = replace(model, folder=tmp_path, info=msgspec.structs.replace(model.info, files={}))
    with pytest.raises(ModelLoadFailedError, match="pull it again"):
        OnnxBackend(broken, choose_device(EngineSettings(device="cpu")))


def test_a_graph_of_another_width_is_refused(model: StoredModel) -> None:
    wrong = replace(model, info=msgspec.structs.replace(model.info, dim=100))
    with pytest.raises(ModelLoadFailedError, match=r"float32\[1, 384\], not float32\[1, 100\]"):
        OnnxBackend(wrong, choose_device(EngineSettings(device="cpu")))
