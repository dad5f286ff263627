"""Collections as the API has them, over an index that does as it is told."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import numpy as np
import pytest

from emberd.config import LimitSettings
from emberd.errors import CollectionNotFoundError, GraphLostError
from emberd.index import Hit
from emberd.index.manifest import Manifest
from emberd.service import params as p
from emberd.service.callers import Caller
from emberd.service.collections import CollectionService
from emberd.wire.vectors import decode_vectors, encode_vectors

DIM = 4


class Index:
    """As much of `Collections` as the tests ask for."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.rebuilds = 0
        self.failure: GraphLostError | None = None
        self.hits: list[list[Hit]] = []

    def manifest(self, name: str) -> Manifest:
        if name != "docs":
            raise CollectionNotFoundError("There is none.")
        return Manifest(name="docs", model="m", fingerprint="f", dim=DIM, dtype="f32", created=0.0)

    async def rebuild(self, name: str) -> None:
        self.rebuilds += 1
        await self.gate.wait()
        if self.failure:
            raise self.failure

    async def search(self, name: str, *args: Any, **options: Any) -> list[list[Hit]]:
        return self.hits


class Events:
    def __init__(self) -> None:
        self.told: list[str] = []

    def emit(self, event: str, message: str, **fields: Any) -> None:
        self.told.append(event)


@pytest.fixture
def index() -> Index:
    return Index()


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def service(index: Index, events: Events) -> CollectionService:
    unused: Any = None
    return CollectionService(index, unused, unused, LimitSettings(), events)  # type: ignore[arg-type]


DOCS = p.CollectionParams("docs")


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_rebuild_is_begun_and_not_waited_for(service: CollectionService, index: Index):
    assert await service.rebuild(DOCS) == {"started": True}
    await settled()
    assert await service.rebuild(DOCS) == {"started": False}
    index.gate.set()
    await settled()
    assert await service.rebuild(DOCS) == {"started": True}
    await settled()
    assert index.rebuilds == 2
    with pytest.raises(CollectionNotFoundError):
        await service.rebuild(p.CollectionParams("other"))


async def test_a_rebuild_that_fails_is_told(
    service: CollectionService, index: Index, events: Events
):
    index.failure = GraphLostError("It does not start.")
    index.gate.set()
    await service.rebuild(DOCS)
    await settled()
    assert events.told == ["index.not_rebuilt"]


async def test_closing_waits_for_no_rebuild(service: CollectionService):
    await service.rebuild(DOCS)
    await settled()
    await service.close()
    assert await service.rebuild(DOCS) == {"started": True}
    await service.close()


@pytest.mark.parametrize("count", [0, 3, 5_000])
async def test_hits_are_packed_with_what_they_have(
    service: CollectionService, index: Index, count: int
):
    vector = np.arange(DIM, dtype=np.float32)
    full = Hit("ä", 0.5, "text", {"n": [1]}, vector, "snip", {"plan": "exact"})
    index.hits = [[full] * count, [], [Hit("b", 0.25)]]
    params = p.SearchParams(
        "docs", vectors=encode_vectors(np.ones((3, DIM), np.float32)), include=["text", "vector"]
    )
    reply = msgspec.msgpack.decode(await service.search(params, Caller(0)))
    first, second, third = reply["results"]
    assert (len(first), second, third) == (count, [], [{"id": "b", "score": 0.25}])
    for row in first[:1]:
        np.testing.assert_array_equal(decode_vectors(row.pop("vector"))[0], vector)
        assert row == {
            "id": "ä",
            "score": 0.5,
            "text": "text",
            "metadata": {"n": [1]},
            "snippet": "snip",
            "explain": {"plan": "exact"},
        }
