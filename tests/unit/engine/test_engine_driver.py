"""The engine with real threads over a tiny backend with faults."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest
from engine_fakes import WINDOW, TinyBackend, cpu, model_named

import emberd.engine.driver
from emberd.config import EngineSettings
from emberd.engine import Device, Embedded, Engine
from emberd.errors import (
    CancelledRequestError,
    EmbeddingFailedError,
    InternalError,
    InvalidParamsError,
    ModelLoadFailedError,
    ModelNotFoundError,
    OverloadedError,
    ShuttingDownError,
    TextTooLongError,
)
from emberd.models import StoredModel
from emberd.telemetry.events import EventLog

BOUND_S = 20


class Bench:
    """An engine whose models are tiny backends, one a fingerprint."""

    def __init__(self, **settings: object) -> None:
        self.backends: dict[str, TinyBackend] = {}
        self.opened: list[str] = []
        self.log = EventLog(logging.getLogger("emberd"))
        self.engine = Engine(EngineSettings(**settings), log=self.log, open_backend=self._open)

    def told(self) -> list[str]:
        return [record.event for record in self.log.records()]

    def _open(self, model: StoredModel, device: Device) -> TinyBackend:
        self.opened.append(model.info.fingerprint)
        return self.backends.setdefault(model.info.fingerprint, TinyBackend())

    async def load(self, fingerprint: str = "m") -> TinyBackend:
        await self.engine.load(model_named(fingerprint))
        return self.backends[fingerprint]

    async def embed(self, *texts: str, model: str = "m", **options: str) -> list[object]:
        futures = self.engine.submit(model, texts, **options)
        return await bounded(asyncio.gather(*futures, return_exceptions=True))

    async def hold(self, text: str = "held") -> asyncio.Future[Embedded]:
        """A text whose batch has begun and does not end until the gate opens."""
        backend = self.backends["m"]
        backend.gate.clear()
        (future,) = self.engine.submit("m", [text])
        await entered(backend)
        return future


async def bounded(awaitable: object) -> object:
    return await asyncio.wait_for(awaitable, BOUND_S)


async def entered(backend: TinyBackend) -> None:
    """Until one more batch has begun."""
    assert await asyncio.to_thread(backend.entered.acquire, timeout=BOUND_S)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(BOUND_S):
        while not condition():  # noqa: ASYNC110 - what is awaited is a figure, with no event
            await asyncio.sleep(0)


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    async for made in benches(monkeypatch, callers=2):
        yield made


@pytest.fixture
async def single(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    """With one caller, so that what is held holds everything."""
    async for made in benches(monkeypatch, callers=1, queue_texts=50):
        yield made


async def benches(
    monkeypatch: pytest.MonkeyPatch, callers: int, **settings: object
) -> AsyncIterator[Bench]:
    monkeypatch.setattr(emberd.engine.driver, "choose_device", lambda _: cpu(callers))
    made = Bench(**settings)
    await made.engine.start()
    await made.load()
    yield made
    for backend in made.backends.values():
        backend.gate.set()
    await bounded(made.engine.close())
    assert all(backend.is_closed for backend in made.backends.values())


async def test_each_text_gets_its_own_vector_in_order(bench: Bench) -> None:
    texts = [" ".join(["word"] * (index % 9)) + f" {index}" for index in range(300)]
    found = await bench.embed(*texts)
    for text, embedded in zip(texts, found, strict=True):
        assert embedded.vector.tolist() == TinyBackend.vector(text.strip())
        assert embedded.tokens == len(text.split()) + 1
        assert not embedded.truncated


async def test_a_poisoned_text_fails_alone(bench: Bench) -> None:
    found = await bench.embed(*[f"good {index}" for index in range(20)], "a poison")
    assert all(isinstance(one, Embedded) for one in found[:20])
    assert isinstance(found[20], EmbeddingFailedError)
    assert "poisoned" in str(found[20])


async def test_a_failing_batch_is_told_but_not_each_of_its_parts(bench: Bench) -> None:
    await bench.embed(*["poison"] * 60)
    assert bench.engine.stats().batches.failed >= 60
    assert bench.told().count("engine.batch_failed") < 10


async def test_what_happens_to_models_and_callers_is_told(bench: Bench) -> None:
    await bench.embed("killer")
    await bench.engine.unload("m")
    wanted = ["engine.started", "model.loaded", "engine.caller_died"]
    assert [event for event in bench.told() if event in wanted] == wanted


async def test_a_vector_that_is_not_a_number_fails_its_text_alone(bench: Bench) -> None:
    found = await bench.embed("one", "nan", "two")
    assert isinstance(found[1], EmbeddingFailedError)
    assert [type(found[0]), type(found[2])] == [Embedded, Embedded]


async def test_a_text_that_breaks_the_tokeniser_fails_alone(bench: Bench) -> None:
    found = await bench.embed("one", "crash", "two")
    assert isinstance(found[1], EmbeddingFailedError)
    assert [type(found[0]), type(found[2])] == [Embedded, Embedded]


async def test_a_text_that_cannot_be_read_is_refused_alone(bench: Bench) -> None:
    found = await bench.embed("one", "unreadable")
    assert isinstance(found[0], Embedded)
    assert isinstance(found[1], InvalidParamsError)


async def test_truncation_is_told_or_refused_as_asked(bench: Bench) -> None:
    long = "word " * 100
    (cut,) = await bench.embed(long)
    assert (cut.tokens, cut.truncated) == (WINDOW, True)
    (refused,) = await bench.embed(long, truncate="error")
    assert isinstance(refused, TextTooLongError)


async def test_running_out_of_memory_fails_no_text_and_is_remembered(bench: Bench) -> None:
    bench.backends["m"].memory_tokens = 20
    found = await bench.embed(*["one two three"] * 40)
    assert all(isinstance(one, Embedded) for one in found)
    assert bench.engine.stats().batch_tokens <= 20


async def test_a_caller_that_dies_is_replaced_and_loses_no_text(bench: Bench) -> None:
    backend = bench.backends["m"]

    def die_once() -> None:
        backend.before = lambda: None
        sys.exit("caller told to die")

    backend.before = die_once
    found = await bench.embed("one", "two")
    assert [type(one) for one in found] == [Embedded, Embedded]
    assert bench.engine.stats().restarts == 1
    await until(lambda: bench.engine.is_healthy)


async def test_health_is_red_from_a_callers_death_until_a_batch_succeeds(single: Bench) -> None:
    (failed,) = await single.embed("killer")
    assert isinstance(failed, EmbeddingFailedError)
    assert "died (ThreadKiller" in single.engine.problems()[0]
    assert not single.engine.is_healthy
    await single.embed("good")
    await until(lambda: single.engine.is_healthy)


async def test_a_text_that_kills_its_caller_fails_alone(bench: Bench) -> None:
    found = await bench.embed("one", "two", "killer", "four")
    assert isinstance(found.pop(2), EmbeddingFailedError)
    assert all(isinstance(one, Embedded) for one in found)


async def test_a_full_queue_refuses_a_call_as_a_whole_and_says_when_to_retry(
    single: Bench,
) -> None:
    held = await single.hold()
    kept = single.engine.submit("m", [f"kept {index}" for index in range(45)])
    with pytest.raises(OverloadedError) as caught:
        single.engine.submit("m", ["too", "many", "by", "one", "text"])
    assert caught.value.retry_after_ms >= 50
    assert single.engine.stats().queue_texts == 45
    single.backends["m"].gate.set()
    await bounded(asyncio.gather(held, *kept))


async def test_a_cancelled_text_is_dropped_and_makes_room(single: Bench) -> None:
    held = await single.hold()
    futures = single.engine.submit("m", [f"text {index}" for index in range(49)])
    await until(lambda: single.engine.stats().queue_tokens == 49 * len(["[", "text", "0"]))
    for future in futures[1:]:
        future.cancel()
    more = single.engine.submit("m", ["more"])
    await until(lambda: single.engine.stats().queue_tokens == len(["[", "text", "0", "[", "more"]))
    single.backends["m"].gate.set()
    await bounded(asyncio.gather(held, futures[0], *more))
    ran = [content for batch in single.backends["m"].ran for content in batch]
    assert sorted(ran) == ["held", "more", "text 0"]


async def test_a_text_cancelled_before_it_was_tokenised_is_dropped(single: Bench) -> None:
    backend = single.backends["m"]
    backend.encode_gate.clear()
    futures = single.engine.submit("m", [f"text {index}" for index in range(49)])
    for future in futures[1:]:
        future.cancel()
    backend.encode_gate.set()
    await bounded(futures[0])
    await single.embed("last")
    assert backend.ran == [["text 0"], ["last"]]


async def test_cancelling_a_text_that_runs_harms_no_other(single: Bench) -> None:
    held = await single.hold()
    held.cancel()
    single.backends["m"].gate.set()
    assert isinstance((await single.embed("next"))[0], Embedded)


async def test_a_query_does_not_wait_for_the_bulk_work_before_it(single: Bench) -> None:
    held = await single.hold()
    bulk = single.engine.submit("m", [f"bulk {index}" for index in range(40)], priority="bulk")
    await until(lambda: single.engine.stats().queue_tokens == 40 * 3)
    query = single.engine.submit("m", ["query"])
    await until(lambda: single.engine.stats().queue_tokens == 40 * 3 + 2)
    single.backends["m"].gate.set()
    await bounded(asyncio.gather(held, *bulk, *query))
    assert single.backends["m"].ran[1] == ["query"]


async def test_unloading_refuses_what_waits_and_lets_what_runs_finish(single: Bench) -> None:
    backend = single.backends["m"]
    held = await single.hold()
    (waiting,) = single.engine.submit("m", ["waiting"])
    await until(lambda: single.engine.stats().queue_tokens > 0)
    unloading = asyncio.create_task(single.engine.unload("m"))
    with pytest.raises(CancelledRequestError):
        await bounded(waiting)
    assert not backend.is_closed
    backend.gate.set()
    assert isinstance(await bounded(held), Embedded)
    await bounded(unloading)
    assert backend.is_closed
    with pytest.raises(ModelNotFoundError, match="Load it first"):
        single.engine.submit("m", ["gone"])


async def test_a_model_can_be_loaded_again_after_it_was_unloaded(bench: Bench) -> None:
    await bench.engine.unload("m")
    await bench.engine.unload("m")
    await bench.load()
    assert isinstance((await bench.embed("again"))[0], Embedded)


async def test_an_unloaded_model_leaves_memory(bench: Bench) -> None:
    gone = weakref.ref(bench.backends.pop("m"))
    await bench.engine.unload("m")
    gc.collect()
    assert gone() is None


async def test_a_model_is_loaded_once_however_many_ask(bench: Bench) -> None:
    await asyncio.gather(*[bench.load("n") for _ in range(5)])
    await bench.load("n")
    assert bench.opened == ["m", "n"]


async def test_a_load_goes_on_when_one_who_asked_gives_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    monkeypatch.setattr(
        bench.engine, "_open_backend", lambda *_: gate.wait(BOUND_S) and bench._open(*_)
    )
    first = asyncio.create_task(bench.load("n"))
    second = asyncio.create_task(bench.load("n"))
    await asyncio.sleep(0)
    first.cancel()
    gate.set()
    await bounded(second)
    assert isinstance((await bench.embed("text", model="n"))[0], Embedded)


async def test_a_model_that_does_not_load_says_why(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> TinyBackend:
        raise OSError("no such file")

    monkeypatch.setattr(bench.engine, "_open_backend", refuse)
    with pytest.raises(ModelLoadFailedError, match="tiny-n cannot be loaded: no such file"):
        await bench.engine.load(model_named("n"))


async def test_several_models_share_the_callers(bench: Bench) -> None:
    await bench.load("n")
    both = await asyncio.gather(
        bench.embed(*["one"] * 30, model="m"), bench.embed(*["two"] * 30, model="n")
    )
    assert all(isinstance(one, Embedded) for found in both for one in found)
    assert {word for batch in bench.backends["n"].ran for word in batch} == {"two"}


async def test_closing_settles_every_text(single: Bench) -> None:
    held = await single.hold()
    waiting = single.engine.submit("m", ["one", "two"])
    closing = asyncio.create_task(single.engine.close())
    found = await bounded(asyncio.gather(held, *waiting, return_exceptions=True))
    assert [type(one) for one in found] == [ShuttingDownError] * 3
    single.backends["m"].gate.set()
    await bounded(closing)


async def test_closing_settles_a_text_that_is_still_with_the_tokeniser(single: Bench) -> None:
    backend = single.backends["m"]
    backend.encode_gate.clear()
    (future,) = single.engine.submit("m", ["text"])
    closing = asyncio.create_task(single.engine.close())
    with pytest.raises(ShuttingDownError):
        await bounded(future)
    backend.encode_gate.set()
    await bounded(closing)


async def test_closing_with_time_to_drain_finishes_the_work(single: Bench) -> None:
    held = await single.hold()
    waiting = single.engine.submit("m", ["one", "two"])
    closing = asyncio.create_task(single.engine.close(drain_s=BOUND_S))
    await asyncio.sleep(0)
    with pytest.raises(ShuttingDownError):
        single.engine.submit("m", ["late"])
    single.backends["m"].gate.set()
    found = await bounded(asyncio.gather(held, *waiting))
    assert all(isinstance(one, Embedded) for one in found)
    await bounded(closing)


async def test_a_closed_engine_takes_nothing(bench: Bench) -> None:
    await bench.engine.close()
    with pytest.raises(ShuttingDownError):
        await bench.engine.load(model_named("n"))
    with pytest.raises(ShuttingDownError):
        await bench.engine.count_tokens("m", ["text"])


async def test_closing_leaves_no_thread_behind(bench: Bench) -> None:
    await bench.embed("text")
    await bench.engine.close()
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("emberd-")]


async def test_tokens_are_counted_in_order(bench: Bench) -> None:
    texts = ["word " * count for count in range(600)]
    assert await bench.engine.count_tokens("m", texts) == list(range(1, 601))
    assert await bench.engine.count_tokens("m", []) == []


async def test_counting_tokens_names_the_text_that_cannot_be_read(bench: Bench) -> None:
    with pytest.raises(InvalidParamsError) as caught:
        await bench.engine.count_tokens("m", ["one", "unreadable"])
    assert caught.value.details["index"] == 1


async def test_no_texts_are_no_futures(bench: Bench) -> None:
    assert bench.engine.submit("m", []) == []


async def test_a_defect_of_the_scheduler_fails_texts_rather_than_keeping_them_waiting(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> list[object]:
        raise KeyError("defect")

    with monkeypatch.context() as patch:
        patch.setattr(bench.engine._dispatcher._scheduler, "handle", broken)
        (failed,) = await bench.embed("text")
    assert isinstance(failed, InternalError)
    assert "scheduler failed" in bench.engine.problems()[0]


async def test_the_figures_add_up(bench: Bench) -> None:
    bench.engine.stats()
    await bench.embed(*["one two three"] * 30, "one", "poison")
    stats = bench.engine.stats()
    assert (stats.batches.texts, stats.batches.tokens) == (31, 30 * 4 + 2)
    assert stats.batches.failed >= 1
    assert stats.batches.latency.count == stats.batches.total
    assert 0 < stats.batches.fill_ratio <= 1
    assert stats.batches.per_s > 0
    assert (stats.callers, stats.queue_texts, stats.queue_limit) == (2, 0, 65_536)
    assert set(stats.stages) == {"tokenise", "queue", "compute"}
    assert all(seconds > 0 for seconds in stats.stages.values())
    after = bench.engine.stats()
    assert (after.batches.per_s, after.batches.total) == (0, stats.batches.total)


async def test_the_age_of_the_queue_is_told_while_something_waits(single: Bench) -> None:
    held = await single.hold()
    (waiting,) = single.engine.submit("m", ["waiting"])
    await until(lambda: single.engine.stats().oldest_ms > 0)
    stats = single.engine.stats()
    assert (stats.callers_busy, stats.queue_texts, stats.queue_tokens) == (1, 1, 2)
    single.backends["m"].gate.set()
    await bounded(asyncio.gather(held, waiting))
    await until(lambda: single.engine.stats().oldest_ms == 0)


@pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities on Linux alone")
async def test_callers_run_below_the_event_loop(bench: Bench) -> None:
    found: list[int] = []
    bench.backends["m"].before = lambda: found.append(
        os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    )
    await bench.embed("text")
    assert found[0] > os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


async def test_a_vector_is_a_row_of_float32(bench: Bench) -> None:
    (found,) = await bench.embed("text")
    assert (found.vector.dtype, found.vector.shape) == (np.float32, (3,))


async def test_an_engine_that_was_not_started_has_empty_figures() -> None:
    engine = Engine(EngineSettings())
    assert engine.stats().device == "none"
    assert engine.problems() == []
    await engine.close()
