"""Models that come and go: what is in use stays, what is idle leaves, what is asked for returns."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from emberd.config import EngineSettings, ModelSettings
from emberd.engine import Device, Encoded, Engine, residency
from emberd.errors import CancelledRequestError, EmberdError, ModelLoadFailedError
from emberd.models import ModelInfo, ModelStore, StoredModel
from emberd.models.info import write_info
from emberd.service.loaded_model import LoadedModel
from emberd.service.registry import ModelRegistry
from emberd.telemetry import EventLog

NAMES = ("one", "two")


class Backend:
    """A text's vector are its last letters. Fails what is run on it once it is closed."""

    dim = 3
    equal_only = False
    part_chars = 1_000
    batch_tokens = 0
    note = ""

    def __init__(self) -> None:
        self.is_closed = False

    def encode(self, texts: Sequence[str], truncate: str) -> list[Encoded | EmberdError]:
        return [Encoded(text.encode("utf-32-le"), len(text), truncated=False) for text in texts]

    def count(self, texts: Sequence[str]) -> list[int | EmberdError]:
        return [len(text) for text in texts]

    def embed(self, rows: Sequence[Encoded], width: int, *, alone: bool) -> np.ndarray:
        assert not self.is_closed
        found = [np.frombuffer(row.ids, "<u4")[-self.dim :] for row in rows]
        assert not self.is_closed
        return np.array(found, np.float32)

    def is_out_of_memory(self, error: BaseException) -> bool:
        return False

    def close(self) -> None:
        self.is_closed = True


def vector_of(text: str) -> list[float]:
    return [float(ord(letter)) for letter in text[-Backend.dim :]]


@dataclass
class Home:
    """A registry over a store of two models, whose backends are all kept."""

    root: Path
    keep_alive: str | float
    opened: list[tuple[str, Backend]] = field(default_factory=list)
    fault: Exception | None = None

    async def start(self) -> Home:
        for name in NAMES:
            self.put(name, name[0] * 32)
        log = EventLog(logging.getLogger("test"))
        self.engine = Engine(EngineSettings(device="cpu"), log=log, open_backend=self._open)
        await self.engine.start()
        self.registry = ModelRegistry(
            ModelStore(self.root),
            self.engine,
            ModelSettings(default="one", allow_download=False, keep_alive=self.keep_alive),
            "f32",
            log,
        )
        return self

    async def close(self) -> None:
        await self.registry.close()
        await self.engine.close()

    def put(self, name: str, fingerprint: str) -> None:
        (self.root / name).mkdir(exist_ok=True)
        info = ModelInfo(
            name=name,
            dim=3,
            max_tokens=64,
            pooling="mean",
            source="test",
            family="onnx",
            weights_sha256="",
            files={},
            fingerprint=fingerprint,
        )
        write_info(self.root / name, info)

    def open_now(self, name: str) -> int:
        return sum(not each.is_closed for found, each in self.opened if found == name)

    async def embed(self, model: LoadedModel, text: str) -> list[float]:
        async with self.registry.use(model):
            await asyncio.sleep(0)
            (future,) = self.engine.submit(model.fingerprint, [text])
            vector: list[float] = (await future).vector.tolist()
            return vector

    async def until_unloaded(self, name: str) -> None:
        while self.state(name) != "unloaded" or self.open_now(name):  # noqa: ASYNC110
            await asyncio.sleep(0.002)  # the snapshot is all that tells it

    def state(self, name: str) -> str:
        return next(each.state for each in self.registry.stats() if each.name == name)

    def _open(self, model: StoredModel, _device: Device) -> Backend:
        if self.fault is not None:
            raise self.fault
        self.opened.append((model.info.name, Backend()))
        return self.opened[-1][1]


@pytest.fixture
async def home(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Home]:
    home = await Home(tmp_path, getattr(request, "param", 0)).start()
    yield home
    await home.close()


async def test_an_idle_model_leaves_and_its_next_text_brings_it_back(home: Home) -> None:
    model = await home.registry.ensure(None)
    first = await home.embed(model, "a text")
    await home.until_unloaded("one")
    assert home.registry.loaded(None) is model  # what is cached of it needs no loading
    rows = {row["name"]: row for row in await home.registry.known()}
    assert (rows["one"]["state"], rows["one"]["unloads_in_s"]) == ("stored", None)
    assert await home.embed(model, "a text") == first
    assert len(home.opened) == 2


@pytest.mark.parametrize("home", ["forever", -1, "30m"], indirect=True)
async def test_a_model_stays_as_long_as_the_settings_say(home: Home) -> None:
    model = await home.registry.ensure(None)
    await home.embed(model, "a text")
    (found,) = home.registry.stats()
    assert found.state == "loaded"
    assert found.idle_s is not None
    if home.keep_alive == "30m":
        assert found.unloads_in_s == pytest.approx(1_800, abs=60)
    else:
        assert found.unloads_in_s is None


async def test_a_model_in_use_does_not_leave(home: Home) -> None:
    model = await home.registry.ensure(None)
    async with home.registry.use(model):
        for _ in range(50):
            await home.embed(model, "a text")
            await asyncio.sleep(0)
        (found,) = home.registry.stats()
        assert (found.state, found.idle_s, found.unloads_in_s) == ("loaded", 0, None)
        assert len(home.opened) == 1
    await home.until_unloaded("one")


async def test_requests_that_come_together_share_one_loading(home: Home) -> None:
    model = await home.registry.ensure(None)
    await home.embed(model, "a text")
    await home.until_unloaded("one")
    found = await asyncio.gather(*[home.embed(model, "a text") for _ in range(20)])
    assert len({tuple(vector) for vector in found}) == 1
    assert len(home.opened) == 2


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_comes_and_goes_every_text_has_its_vector(
    home: Home, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(residency, "_UNUSED_S", 0.0)
    chance = random.Random(seed)

    async def client(number: int) -> None:
        for turn in range(12):
            name, text = chance.choice(NAMES), f"client {number} turn {turn}"
            model = await home.registry.ensure(name)
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            work = asyncio.create_task(home.embed(model, text))
            if chance.random() < 0.2:
                await asyncio.sleep(0)
                work.cancel()
                await asyncio.wait([work])
            else:
                assert await work == vector_of(text)
            assert home.open_now("one") <= 1
            assert home.open_now("two") <= 1

    await asyncio.gather(*[client(number) for number in range(12)])
    for name in NAMES:
        await home.until_unloaded(name)
    assert len(home.opened) > len(NAMES)


async def test_an_unload_that_is_asked_for_waits_for_no_idleness(tmp_path: Path) -> None:
    home = await Home(tmp_path, "forever").start()
    model = await home.registry.ensure(None)
    assert await home.registry.unload("one")
    assert home.open_now("one") == 0
    assert not await home.registry.unload("one")
    # A request that was on its way already finds it again.
    assert await home.embed(model, "a text") == vector_of("a text")
    await home.close()


async def test_a_model_that_was_replaced_does_not_answer_for_the_old_one(home: Home) -> None:
    old = await home.registry.ensure(None)
    await home.embed(old, "a text")
    await home.until_unloaded("one")
    home.put("one", "9" * 32)
    with pytest.raises(CancelledRequestError, match="replaced"):
        await home.embed(old, "a text")
    new = await home.registry.ensure(None)
    assert new.fingerprint == "9" * 32
    assert await home.embed(new, "a text") == vector_of("a text")


async def test_a_model_that_cannot_come_back_says_why_and_is_tried_again(home: Home) -> None:
    model = await home.registry.ensure(None)
    await home.embed(model, "a text")
    await home.until_unloaded("one")
    home.fault = OSError("no memory")
    with pytest.raises(ModelLoadFailedError, match="no memory"):
        await home.embed(model, "a text")
    (found,) = home.registry.stats()
    assert found.state == "failed"
    assert "no memory" in found.message
    home.fault = None
    await home.embed(model, "a text")
