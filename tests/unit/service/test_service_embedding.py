"""The path of a text with an engine whose every answer the test decides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from emberd.cache import Cache
from emberd.config import CacheSettings, LimitSettings
from emberd.engine import Embedded
from emberd.errors import (
    DeadlineExceededError,
    EmbeddingFailedError,
    InternalError,
    InvalidParamsError,
    OverloadedError,
    TextTooLongError,
)
from emberd.models import ModelInfo
from emberd.service.admission import Admission
from emberd.service.callers import Caller
from emberd.service.compute import Computations
from emberd.service.embedding import EmbeddingService
from emberd.service.loaded_model import LoadedModel
from emberd.service.params import EmbedParams
from emberd.service.statistics import Statistics

DIM = 8
INFO = ModelInfo(
    name="m",
    dim=DIM,
    max_tokens=16,
    pooling="mean",
    source="test",
    family="bert",
    weights_sha256="0" * 64,
    files={},
    fingerprint="f" * 32,
    prompts={"query": "query: "},
)


class Engine:
    """Keeps what was submitted; the test settles it."""

    def __init__(self) -> None:
        self.open: dict[str, asyncio.Future[Embedded]] = {}
        self.submitted: list[str] = []
        self.priorities: list[str] = []
        self.is_full = False

    def submit(
        self, fingerprint: str, texts: Sequence[str], *, truncate: str, priority: str
    ) -> list[asyncio.Future[Embedded]]:
        if self.is_full:
            raise OverloadedError("full", retry_after_ms=70)
        futures = [asyncio.get_running_loop().create_future() for _ in texts]
        self.open.update(zip(texts, futures, strict=True))
        self.submitted += texts
        self.priorities.append(priority)
        return futures

    def finish(self, *texts: str) -> None:
        for text in texts or tuple(self.open):
            future = self.open.pop(text)
            if not future.done():
                vector = np.zeros(DIM, np.float32)
                vector[len(text) % DIM] = 1
                future.set_result(Embedded(vector, len(text), truncated=False))

    def fail(self, text: str, error: Exception) -> None:
        self.open.pop(text).set_exception(error)


class Registry:
    def __init__(self) -> None:
        self.model = LoadedModel(INFO, "f16")

    def loaded(self, name: str | None) -> LoadedModel | None:
        return self.model

    @asynccontextmanager
    async def use(self, model: LoadedModel) -> AsyncIterator[None]:
        yield


class Bench:
    def __init__(self, admission: Admission | None = None) -> None:
        self.engine = Engine()
        self.statistics = Statistics()
        self.cache = Cache(CacheSettings(), [])
        self.caller = Caller(1)
        computations = Computations(self.engine, self.cache, self.statistics)  # type: ignore[arg-type]
        self.service = EmbeddingService(
            Registry(),  # type: ignore[arg-type]
            self.cache,
            computations,
            self.statistics,
            LimitSettings(texts=100, text_bytes=1000),
            frozenset({"default", "notes"}),
            admission,
        )

    async def start(self, *texts: str, **options: Any) -> asyncio.Task[dict[str, Any]]:
        """Ask, and come back when the request waits (or is done)."""

        async def ask() -> dict[str, Any]:
            reply = self.service.embed(EmbedParams(list(texts), **options), self.caller)
            return reply if isinstance(reply, dict) else await reply

        task = asyncio.create_task(ask())
        for _ in range(5):
            await asyncio.sleep(0)
        return task

    async def embed(self, *texts: str, **options: Any) -> dict[str, Any]:
        task = await self.start(*texts, **options)
        self.engine.finish()
        return await task


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_what_is_known_is_answered_without_waiting(bench: Bench) -> None:
    await bench.embed("a", "b")
    reply = bench.service.embed(EmbedParams(["b", "a"]), bench.caller)
    assert isinstance(reply, dict)
    assert reply["hits"] == {"memory": 2}
    assert bench.engine.submitted == ["a", "b"]


async def test_a_text_under_computation_is_waited_for_by_others(bench: Bench) -> None:
    first = await bench.start("a", "b")
    second = await bench.start("b", "c")
    assert bench.engine.submitted == ["a", "b", "c"]
    bench.engine.finish()
    assert (await first)["computed"] == 2
    reply = await second
    assert (reply["computed"], reply["deduplicated"]) == (1, 1)


async def test_one_who_leaves_does_not_take_the_others_work_away(bench: Bench) -> None:
    leader, follower = await bench.start("a"), await bench.start("a")
    leader.cancel()
    await asyncio.wait([leader])
    assert not bench.engine.open["a"].cancelled()
    bench.engine.finish()
    assert (await follower)["count"] == 1


async def test_work_that_nobody_waits_for_is_dropped(bench: Bench) -> None:
    one, two = await bench.start("a"), await bench.start("a")
    for task in (one, two):
        task.cancel()
    await asyncio.wait([one, two])
    await asyncio.sleep(0)
    assert bench.engine.open["a"].cancelled()
    again = await bench.start("a")
    assert bench.engine.submitted == ["a", "a"]
    again.cancel()


async def test_a_deadline_drops_what_is_not_done_and_keeps_what_is(bench: Bench) -> None:
    task = await bench.start("quick", "slow", deadline_ms=20)
    bench.engine.finish("quick")
    with pytest.raises(DeadlineExceededError, match="20"):
        await task
    assert bench.engine.open["slow"].cancelled()
    assert isinstance(bench.service.embed(EmbedParams(["quick"]), bench.caller), dict)


async def test_the_first_failed_text_is_named(bench: Bench) -> None:
    task = await bench.start("good", "bad")
    bench.engine.fail("bad", EmbeddingFailedError("The model failed on it."))
    bench.engine.finish()
    with pytest.raises(EmbeddingFailedError, match=r"texts\[1\]: The model") as caught:
        await task
    assert caught.value.details == {"field": "texts[1]", "index": 1}


async def test_partial_results_hold_the_good_vectors_and_the_errors(bench: Bench) -> None:
    task = await bench.start("good", "bad", "x" * 2000, "broken\udcff", "bad", partial=True)
    bench.engine.fail("bad", EmbeddingFailedError("no"))
    bench.engine.finish()
    reply = await task
    assert [(error["index"], error["code"]) for error in reply["errors"]] == [
        (1, "EMBEDDING_FAILED"),
        (2, "TEXT_TOO_LONG"),
        (3, "INVALID_PARAMS"),
        (4, "EMBEDDING_FAILED"),
    ]
    rows = np.frombuffer(reply["vectors"]["data"], "<f4").reshape(5, DIM)
    assert rows.any(axis=1).tolist() == [True, False, False, False, False]


async def test_a_failed_text_is_not_kept_and_is_tried_again(bench: Bench) -> None:
    task = await bench.start("bad", partial=True)
    bench.engine.fail("bad", EmbeddingFailedError("no"))
    await task
    assert (await bench.embed("bad"))["computed"] == 1


async def test_an_unexpected_failure_becomes_a_typed_error(bench: Bench) -> None:
    task = await bench.start("a")
    bench.engine.fail("a", ZeroDivisionError("oops"))
    with pytest.raises(InternalError, match="ZeroDivisionError: oops"):
        await task


async def test_a_full_engine_refuses_the_request_as_a_whole(bench: Bench) -> None:
    bench.engine.is_full = True
    with pytest.raises(OverloadedError) as caught:
        await (await bench.start("a", "b", partial=True))
    assert caught.value.retry_after_ms == 70
    bench.engine.is_full = False
    assert (await bench.embed("a"))["computed"] == 1


async def test_without_the_cache_nothing_is_looked_up_or_kept(bench: Bench) -> None:
    await bench.embed("a")
    reply = await bench.embed("a", use_cache=False)
    assert (reply["computed"], reply["hits"]) == (1, {})
    await bench.embed("b", use_cache=False)
    assert (await bench.embed("b"))["computed"] == 1


async def test_prompts_go_to_the_engine_and_into_the_key(bench: Bench) -> None:
    await bench.embed("cats", prompt="query")
    await bench.embed("cats")
    assert bench.engine.submitted == ["query: cats", "cats"]
    with pytest.raises(InvalidParamsError, match="not both"):
        await bench.embed("cats", prompt="query", prefix="x")


async def test_few_texts_are_interactive_and_many_are_bulk(bench: Bench) -> None:
    await bench.embed(*(f"few {i}" for i in range(16)))
    await bench.embed(*(f"many {i}" for i in range(17)))
    await bench.embed("one", priority="bulk")
    assert bench.engine.priorities == ["interactive", "bulk", "bulk"]


async def test_only_what_is_missing_counts_for_the_priority(bench: Bench) -> None:
    texts = [f"text {i}" for i in range(40)]
    await bench.embed(*texts)
    await bench.embed(*texts, "new")
    assert bench.engine.priorities == ["bulk", "interactive"]


async def test_every_text_is_counted_once(bench: Bench) -> None:
    await bench.embed("a", "a", "b")
    task = await bench.start("a", "bad", partial=True)
    bench.engine.fail("bad", EmbeddingFailedError("no"))
    await task
    counts = bench.statistics.texts
    assert counts.received == 5
    assert counts.hits + counts.computed + counts.deduplicated + counts.failed == 5
    assert (bench.caller.texts, bench.caller.hits) == (5, 1)


async def test_limits_are_told_with_the_field(bench: Bench) -> None:
    with pytest.raises(InvalidParamsError, match="101 texts are over the limit of 100"):
        await bench.embed(*(str(i) for i in range(101)))
    with pytest.raises(TextTooLongError, match=r"texts\[0\]: the text has 1002 bytes"):
        await bench.embed("é" * 501)
