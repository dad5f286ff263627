"""The stages of a request, as the path of a text passes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from emberd.cache import Cache
from emberd.config import CacheSettings, LimitSettings
from emberd.engine import Embedded
from emberd.engine.ledger import Ledger
from emberd.engine.text import Request, Text
from emberd.errors import DeadlineExceededError
from emberd.models import ModelInfo
from emberd.service.callers import Caller
from emberd.service.compute import Computations
from emberd.service.embedding import EmbeddingService
from emberd.service.loaded_model import LoadedModel
from emberd.service.params import EmbedParams
from emberd.service.statistics import Statistics
from emberd.service.trace import CURRENT, Trace, current_trace

INFO = ModelInfo(
    name="m",
    dim=4,
    max_tokens=16,
    pooling="mean",
    source="test",
    family="bert",
    weights_sha256="0" * 64,
    files={},
    fingerprint="f" * 32,
)


class Engine:
    """Settles texts when told to; its marks are those that the test gives."""

    def __init__(self) -> None:
        self.ledger = Ledger(lambda texts: None)
        self.texts: list[Text] = []
        self.marks: dict[str, float] = {}
        self.is_asked = asyncio.Event()

    def submit(
        self, fingerprint: str, texts: Sequence[str], *, truncate: Any, priority: Any
    ) -> list[asyncio.Future[Embedded]]:
        request = Request(fingerprint, truncate, priority, **self.marks)
        opened, futures = self.ledger.open(request, texts)
        self.texts += opened
        self.is_asked.set()
        return futures

    def finish(self) -> None:
        vector = np.full(4, 0.5, np.float32)
        self.ledger.settle([(text, Embedded(vector, 1, False)) for text in self.texts])
        self.texts.clear()
        self.is_asked.clear()


class Bench:
    def __init__(self) -> None:
        self.engine = Engine()
        statistics, model = Statistics(), LoadedModel(INFO, "f16")
        cache = Cache(CacheSettings(), [])
        self.service = EmbeddingService(
            SimpleNamespace(loaded=lambda name: model, use=lambda model: nullcontext()),  # type: ignore[arg-type]
            cache,
            Computations(self.engine, cache, statistics),  # type: ignore[arg-type]
            statistics,
            LimitSettings(),
            frozenset({"default"}),
        )

    async def follow(self, *texts: str, is_finished: bool = True, **options: Any) -> Trace:
        """The trace of a request, as a session makes one."""
        trace = Trace(time.perf_counter())
        CURRENT.set(trace)
        reply = self.service.embed(EmbedParams(list(texts), **options), Caller(1))
        assert not isinstance(reply, dict)
        task = asyncio.create_task(reply)
        await self.engine.is_asked.wait()
        if is_finished:
            self.engine.finish()
        await asyncio.wait([task])
        self.error = task.exception()
        return trace


@pytest.fixture
async def bench() -> Bench:
    return Bench()


async def test_a_computed_request_has_every_stage_that_it_passed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(1, 100))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))
    bench.engine.marks = {"submitted_s": 5.0, "tokenised_s": 5.25, "started_s": 5.5}
    trace = await bench.follow("a", "b", "a")
    stages = trace.stages(10.0)
    assert stages is not None
    assert stages["tiers"] == {}
    assert (stages["tokenise"], stages["queue"]) == (0.25, 0.25)
    # Each reading of the clock is a second, and one goes to the tiers, of which there are none.
    assert stages["compute"] == 0.5
    assert sum(v for name, v in stages.items() if name != "tiers") == pytest.approx(10.0 - 1.0)
    assert trace.amounts() == (3, {}, 2)


async def test_hits_and_misses_of_a_request_are_counted_by_tier(bench: Bench) -> None:
    await bench.follow("a")
    assert (await bench.follow("a", "b")).amounts() == (2, {"memory": 1}, 1)


async def test_a_request_given_up_in_the_queue_spent_its_time_there(bench: Bench) -> None:
    now = time.monotonic()
    bench.engine.marks = {"submitted_s": now, "tokenised_s": now}
    trace = await bench.follow("a", is_finished=False, deadline_ms=20)
    assert isinstance(bench.error, DeadlineExceededError)
    stages = trace.stages(0.021)
    assert stages is not None
    assert stages["queue"] > 0
    assert (stages["tokenise"], stages["compute"]) == (0, 0)


async def test_without_a_request_to_follow_nothing_is_kept() -> None:
    CURRENT.set(None)
    trace = current_trace()
    assert trace is not current_trace()
    assert trace.stages(1.0) is None


async def test_a_request_that_was_never_tokenised_spent_its_time_on_that() -> None:
    trace = Trace(time.perf_counter())
    _, futures = Ledger(lambda texts: None).open(Request("m", submitted_s=1.0), ["a"])
    trace.asked(futures)
    trace.computed()
    assert (trace.seconds["tokenise"] > 0, trace.seconds["compute"]) == (True, 0)
    futures[0].cancel()


async def test_work_begun_for_others_is_all_computing() -> None:
    trace = Trace(time.perf_counter())
    trace.asked([])
    trace.computed()
    assert set(trace.seconds) == {"compute"}
