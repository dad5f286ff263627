"""A plugin's embedder behind the service's queue, whatever it does."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emberd.cache import Cache
from emberd.config import CacheSettings, LimitSettings, ModelSettings
from emberd.engine import Embedded
from emberd.errors import (
    DeadlineExceededError,
    EmbeddingFailedError,
    EmberdError,
    ModelNotFoundError,
    OverloadedError,
    PluginFailedError,
    RateLimitedError,
    ShuttingDownError,
    TextTooLongError,
    UpstreamUnavailableError,
)
from emberd.models import ModelStore
from emberd.plugins import EmbeddedText, Embedder, EmbedderModel
from emberd.plugins.guard import Guard
from emberd.plugins.plugged import Plugged
from emberd.plugins.runner import PluginLoop, PluginThread
from emberd.service.callers import Caller
from emberd.service.compute import Computations
from emberd.service.embedder_models import Embedders, estimate_tokens
from emberd.service.embedders import EmbedderDriver
from emberd.service.embedding import EmbeddingService
from emberd.service.fallback import Fallbacks
from emberd.service.params import EmbedParams
from emberd.service.registry import ModelRegistry
from emberd.service.statistics import Statistics
from emberd.telemetry import EventLog

DIM = 4

Answer = Callable[[str, Sequence[str]], Any]


def model_of(name: str, **fields: Any) -> EmbedderModel:
    fingerprint = name.encode().hex().ljust(32, "0")[:32]
    return EmbedderModel(
        **{"name": name, "fingerprint": fingerprint, "dim": DIM, "max_tokens": 0, **fields}
    )


def good(text: str) -> EmbeddedText:
    vector = np.zeros(DIM, np.float32)
    vector[len(text) % DIM] = 3
    return EmbeddedText(vector, len(text))


class Gate:
    """Holds back who waits, on whichever loop; open at first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_open = True
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def close(self) -> None:
        self._is_open = False

    def open(self) -> None:
        with self._lock:
            self._is_open = True
            for loop, event in self._waiting:
                loop.call_soon_threadsafe(event.set)
            self._waiting.clear()

    async def wait(self) -> None:
        event = asyncio.Event()
        with self._lock:
            if self._is_open:
                return
            self._waiting.append((asyncio.get_running_loop(), event))
        await event.wait()


class Scripted:
    """An embedder whose answers the test decides; `gate` holds its calls back."""

    name = "scripted"

    def __init__(
        self, *models: Any, batch_texts: int = 8, concurrency: int = 1, answer: Answer | None = None
    ) -> None:
        self.offered: list[Any] = list(models) or [model_of("m")]
        self.batch_texts = batch_texts
        self.concurrency = concurrency
        self.answer: Answer = answer or (lambda model, texts: [good(text) for text in texts])
        self.calls: list[tuple[str, list[str], str]] = []
        self.came = threading.Semaphore(0)
        self.given_up = threading.Event()
        self.asked = 0
        self.gate = Gate()

    async def models(self) -> Sequence[EmbedderModel]:
        self.asked += 1
        if isinstance(self.offered[0], Exception):
            raise self.offered[0]
        return self.offered

    async def embed(self, model: str, texts: Sequence[str], truncate: Any) -> Any:
        self.calls.append((model, list(texts), truncate))
        self.came.release()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.given_up.set()
            raise
        found = self.answer(model, texts)
        if isinstance(found, BaseException):
            raise found
        return found

    def stats(self) -> Mapping[str, int | float | str]:
        return {}

    async def close(self) -> None:
        pass


class Bench:
    """Embedders, a registry and the path of a text around them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.loops: list[PluginLoop] = []
        self.guards: list[Guard] = []
        self.events = EventLog(logging.getLogger("test"))
        self.statistics = Statistics()
        self.cache = Cache(CacheSettings(), [])
        self.time = 0.0

    def plugged(self, embedder: Embedder, name: str = "p") -> Plugged[Embedder]:
        guard, loop = Guard(name, errors=3), PluginLoop(name)
        self.guards.append(guard)
        self.loops.append(loop)
        return Plugged(name, embedder, guard, PluginThread(name), loop)

    async def driver(self, embedder: Scripted, queue_texts: int = 100) -> EmbedderDriver:
        driver = EmbedderDriver(self.plugged(embedder), queue_texts)
        for model in embedder.offered:
            driver.calls.offer(model)
        return driver

    async def serve(self, *embedders: Scripted, default: str = "m") -> EmbeddingService:
        plugged = [self.plugged(each, f"p{number}") for number, each in enumerate(embedders)]
        self.embedders = Embedders(plugged, self.events, queue_texts=100, clock=lambda: self.time)
        self.registry = ModelRegistry(
            ModelStore(self.folder),
            None,  # type: ignore[arg-type]
            ModelSettings(default=default, allow_download=False),
            "f32",
            self.events,
            self.embedders,
        )
        await self.registry.ask_plugins()
        self.service = EmbeddingService(
            self.registry,
            self.cache,
            Computations(None, self.cache, self.statistics),  # type: ignore[arg-type]
            self.statistics,
            LimitSettings(),
            frozenset({"default"}),
            fallbacks=Fallbacks(self.registry, self.events, clock=lambda: self.time),
        )
        return self.service

    async def embed(self, *texts: str, **options: Any) -> dict[str, Any]:
        reply = self.service.embed(EmbedParams(list(texts), **options), Caller(1))
        return reply if isinstance(reply, dict) else await reply

    def told(self, event: str) -> list[str]:
        return [each.message for each in self.events.records() if each.event == event]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    for loop in bench.loops:
        await loop.close()


async def called(embedder: Scripted, count: int = 1) -> None:
    """Until the embedder has been asked so often since the last time."""
    for _ in range(count):
        assert await asyncio.to_thread(embedder.came.acquire, timeout=10)


async def test_vectors_come_back_in_order_and_of_length_one(bench: Bench) -> None:
    driver = await bench.driver(Scripted(batch_texts=2, concurrency=2))
    found = await asyncio.gather(*driver.submit("m", ["a", "bb", "ccc", "a"]))
    assert [int(each.vector.argmax()) for each in found] == [1, 2, 3, 1]
    assert all(np.isclose(np.linalg.norm(each.vector), 1) for each in found)
    assert [each.tokens for each in found] == [1, 2, 3, 1]
    assert found[0].vector.dtype == np.float32


async def test_texts_that_come_together_share_a_call(bench: Bench) -> None:
    embedder = Scripted()
    driver = await bench.driver(embedder)
    futures = [future for text in "abc" for future in driver.submit("m", [text])]
    await asyncio.gather(*futures)
    assert embedder.calls == [("m", ["a", "b", "c"], "end")]


async def test_calls_hold_one_model_and_one_truncation_and_no_more_than_a_batch(
    bench: Bench,
) -> None:
    embedder = Scripted(model_of("m"), model_of("n"), batch_texts=2)
    driver = await bench.driver(embedder)
    futures = [
        *driver.submit("m", ["a", "b", "c"]),
        *driver.submit("n", ["d"]),
        *driver.submit("m", ["e"], truncate="error"),
    ]
    await asyncio.gather(*futures)
    assert embedder.calls == [
        ("m", ["a", "b"], "end"),
        ("m", ["c"], "end"),
        ("n", ["d"], "end"),
        ("m", ["e"], "error"),
    ]


async def test_interactive_texts_go_before_bulk_ones(bench: Bench) -> None:
    embedder = Scripted()
    driver = await bench.driver(embedder)
    futures = driver.submit("m", ["bulk"], priority="bulk")
    futures += driver.submit("m", ["query"], priority="interactive")
    await asyncio.gather(*futures)
    assert [texts for _, texts, _ in embedder.calls] == [["query"], ["bulk"]]


async def test_bulk_work_leaves_a_call_free_for_queries(bench: Bench) -> None:
    embedder = Scripted(batch_texts=1, concurrency=3)
    driver = await bench.driver(embedder)
    embedder.gate.close()
    futures = driver.submit("m", ["1", "2", "3", "4"], priority="bulk")
    await called(embedder, 2)
    futures += driver.submit("m", ["query"])
    await called(embedder)
    assert embedder.calls[2][1] == ["query"]
    embedder.gate.open()
    await asyncio.gather(*futures)
    assert len(embedder.calls) == 5


async def test_an_error_for_a_text_fails_it_alone_and_is_no_fault_of_the_plugin(
    bench: Bench,
) -> None:
    error = TextTooLongError("too long")
    driver = await bench.driver(Scripted(answer=lambda model, texts: [good("a"), error]))
    first, second = driver.submit("m", ["a", "b"])
    assert isinstance(await first, Embedded)
    with pytest.raises(TextTooLongError):
        await second
    assert bench.guards[0].errors == 0


async def test_an_errors_odd_parts_do_not_travel(bench: Bench) -> None:
    class OddError(TextTooLongError):
        def __init__(self) -> None:
            super().__init__("odd", details={"object": object(), "limit": 7})

    driver = await bench.driver(Scripted(answer=lambda model, texts: [OddError()]))
    with pytest.raises(TextTooLongError) as caught:
        await driver.submit("m", ["a"])[0]
    assert type(caught.value) is TextTooLongError
    assert caught.value.details == {"limit": 7}


@pytest.mark.parametrize(
    ("raised", "expected", "errors"),
    [
        (RateLimitedError("slow", retry_after_ms=5), RateLimitedError, 0),
        (UpstreamUnavailableError("away"), UpstreamUnavailableError, 1),
        (ValueError("secret"), EmbeddingFailedError, 1),
        (ModelNotFoundError("what?"), EmbeddingFailedError, 1),
        (SystemExit(1), EmbeddingFailedError, 1),
        (asyncio.CancelledError(), EmbeddingFailedError, 1),
        (StopIteration(), EmbeddingFailedError, 1),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_what_is_raised_fails_the_batch(
    bench: Bench, raised: BaseException, expected: type[EmberdError], errors: int
) -> None:
    driver = await bench.driver(Scripted(answer=lambda model, texts: raised))
    for future in driver.submit("m", ["a", "b"]):
        with pytest.raises(expected) as caught:
            await future
        assert "secret" not in caught.value.message
    assert bench.guards[0].errors == errors


def vector(*numbers: float) -> EmbeddedText:
    return EmbeddedText(np.array(numbers, np.float32))


@pytest.mark.parametrize(
    "answer",
    [
        vector(1, 2, 3),
        vector(1, 2, 3, 4, 5),
        EmbeddedText(np.ones((1, DIM), np.float32)),
        vector(0, 0, 0, 0),
        vector(1, 2, float("nan"), 4),
        vector(1, 2, float("inf"), 4),
        EmbeddedText(np.ones(DIM, np.float32), -1),
        EmbeddedText(np.ones(DIM, np.float32), 1 << 40),
        EmbeddedText(np.ones(DIM, np.float32), "many"),  # type: ignore[arg-type]
        EmbeddedText("vector"),  # type: ignore[arg-type]
        [1.0, 2.0, 3.0, 4.0],
        None,
    ],
    ids=str,
)
async def test_a_wrong_entry_fails_its_text_and_counts_against_the_plugin(
    bench: Bench, answer: Any
) -> None:
    driver = await bench.driver(Scripted(answer=lambda model, texts: [good("a"), answer]))
    first, second = driver.submit("m", ["a", "b"])
    assert isinstance(await first, Embedded)
    with pytest.raises(EmbeddingFailedError):
        await second
    assert bench.guards[0].errors == 1


@pytest.mark.parametrize("answers", [[], [good("a")], [good("a")] * 3, None, 7], ids=str)
async def test_a_wrong_count_fails_the_batch(bench: Bench, answers: Any) -> None:
    driver = await bench.driver(Scripted(answer=lambda model, texts: answers))
    for future in driver.submit("m", ["a", "b"]):
        with pytest.raises(EmbeddingFailedError):
            await future
    assert bench.guards[0].errors == 1


async def test_a_huge_vector_is_normalised_without_overflow(bench: Bench) -> None:
    driver = await bench.driver(Scripted(answer=lambda m, t: [vector(3e38, 3e38, 0, 0)]))
    (found,) = await asyncio.gather(*driver.submit("m", ["a"]))
    assert np.isclose(np.linalg.norm(found.vector), 1)


async def test_dropped_texts_are_not_sent(bench: Bench) -> None:
    embedder = Scripted(batch_texts=1)
    driver = await bench.driver(embedder)
    embedder.gate.close()
    running, dropped, kept = driver.submit("m", ["running", "dropped", "kept"])
    await called(embedder)
    dropped.cancel()
    embedder.gate.open()
    await asyncio.gather(running, kept)
    assert [texts for _, texts, _ in embedder.calls] == [["running"], ["kept"]]


async def test_a_call_that_nobody_waits_for_is_given_up(bench: Bench) -> None:
    embedder = Scripted()
    driver = await bench.driver(embedder)
    embedder.gate.close()
    futures = driver.submit("m", ["a", "b"])
    await called(embedder)
    for future in futures:
        future.cancel()
    assert await asyncio.to_thread(embedder.given_up.wait, 10)
    embedder.gate.open()
    assert isinstance(await driver.submit("m", ["c"])[0], Embedded)


async def test_a_full_queue_refuses_everything_of_a_request(bench: Bench) -> None:
    embedder = Scripted()
    driver = await bench.driver(embedder, queue_texts=3)
    embedder.gate.close()
    futures = driver.submit("m", ["a", "b"])
    with pytest.raises(OverloadedError):
        driver.submit("m", ["c", "d"])
    embedder.gate.open()
    await asyncio.gather(*futures)


async def test_a_tripped_plugin_is_bypassed_at_once_and_comes_back(bench: Bench) -> None:
    embedder = Scripted(batch_texts=1, answer=lambda model, texts: ValueError("no"))
    driver = await bench.driver(embedder)
    results = await asyncio.gather(*driver.submit("m", list("abcdef")), return_exceptions=True)
    kinds = [type(each) for each in results]
    assert kinds == [EmbeddingFailedError] * 3 + [UpstreamUnavailableError] * 3
    with pytest.raises(UpstreamUnavailableError, match="emberd plugins"):
        driver.submit("m", ["g"])
    assert len(embedder.calls) == 3
    bench.guards[0].reset()
    embedder.answer = lambda model, texts: [good(text) for text in texts]
    assert isinstance(await driver.submit("m", ["h"])[0], Embedded)


async def test_a_call_that_takes_too_long_is_given_up(bench: Bench) -> None:
    embedder = Scripted()
    driver = EmbedderDriver(bench.plugged(embedder), 100, call_s=0.02)
    driver.calls.offer(model_of("m"))
    embedder.gate.close()
    with pytest.raises(UpstreamUnavailableError):
        await driver.submit("m", ["a"])[0]
    assert bench.guards[0].errors == 1


async def test_closing_settles_everything(bench: Bench) -> None:
    embedder = Scripted(batch_texts=1)
    driver = await bench.driver(embedder)
    embedder.gate.close()
    futures = driver.submit("m", ["a", "b"])
    await called(embedder)
    await driver.close()
    for future in futures:
        with pytest.raises(ShuttingDownError):
            await future
    with pytest.raises(ShuttingDownError):
        driver.submit("m", ["c"])


async def test_every_call_is_told(bench: Bench) -> None:
    told: list[tuple[int, int, str]] = []
    driver = await bench.driver(Scripted())
    driver.on_batch = lambda texts, tokens, seconds, error: told.append((texts, tokens, error))
    await asyncio.gather(*driver.submit("m", ["a", "bb"]))
    assert told == [(2, 3, "")]


@pytest.mark.parametrize("limits", [{"batch_texts": 0}, {"concurrency": -1}, {"batch_texts": "8"}])
async def test_senseless_limits_are_refused(bench: Bench, limits: dict[str, Any]) -> None:
    embedder = Scripted()
    vars(embedder).update(limits)
    with pytest.raises(PluginFailedError, match=next(iter(limits))):
        EmbedderDriver(bench.plugged(embedder), 100)


# the models of plugins


async def test_a_plugins_models_can_be_asked_for_by_name_and_listed(bench: Bench) -> None:
    await bench.serve(Scripted(model_of("m"), model_of("n", licence="MIT")))
    assert (await bench.embed("a", model="n"))["model"] == "n"
    assert (await bench.embed("a"))["model"] == "m"
    rows = {row["name"]: row for row in await bench.registry.known()}
    assert (rows["n"]["source"], rows["n"]["state"]) == ("plugin p0", "loaded")
    assert (rows["n"]["licence"], rows["m"]["is_default"]) == ("MIT", True)
    assert bench.registry.describe()["m"]["dim"] == DIM
    assert [each.name for each in bench.registry.stats()] == ["m", "n"]
    bench.guards[0].disable()
    assert bench.registry.stats()[0].state == "failed"
    assert not await bench.registry.unload("n")


@pytest.mark.parametrize(
    "wrong",
    [
        model_of("x", fingerprint="short"),
        model_of("x", fingerprint="G" * 32),
        model_of("x", dim=0),
        model_of("x", dim=1 << 20),
        model_of("x", dim="four"),
        model_of("x", max_tokens=-1),
        model_of("x", prompts={"query": 7}),
        model_of("has space"),
        model_of(""),
        "model",
    ],
    ids=str,
)
async def test_a_model_that_is_wrong_is_left_out_and_the_others_serve(
    bench: Bench, wrong: Any
) -> None:
    await bench.serve(Scripted(wrong, model_of("m")))
    assert list(bench.embedders.models) == ["m"]
    assert bench.guards[0].errors == 1
    assert bench.told("embedder.failed")


async def test_of_equal_names_the_first_embedders_counts(bench: Bench) -> None:
    first, second = Scripted(), Scripted(model_of("m", fingerprint="f" * 32))
    await bench.serve(first, second)
    await bench.embed("a")
    assert (len(first.calls), len(second.calls)) == (1, 0)
    assert "offered by plugin p0 already" in bench.told("embedder.failed")[0]


async def test_the_stores_model_goes_before_a_plugins_of_the_same_name(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = object()
    monkeypatch.setattr(ModelStore, "find", lambda self, name: stored if name == "m" else None)
    await bench.serve(Scripted(model_of("m"), model_of("n")), default="n")
    assert list(bench.registry.describe()) == ["n"]
    assert "Rename" in bench.told("model.shadowed")[0]


async def test_an_embedder_that_could_not_tell_its_models_is_asked_again(bench: Bench) -> None:
    late = Scripted(UpstreamUnavailableError("not yet"))
    await bench.serve(Scripted(), late)
    assert (await bench.embed("a"))["model"] == "m"
    late.offered = [model_of("late")]
    with pytest.raises(ModelNotFoundError):
        await bench.embed("a", model="late")  # it was asked a moment ago
    bench.time += 60
    assert (await bench.embed("a", model="late"))["model"] == "late"
    assert late.asked == 2


async def test_a_second_time_comes_from_the_cache(bench: Bench) -> None:
    embedder = Scripted()
    await bench.serve(embedder)
    first = await bench.embed("a", "b")
    again = bench.service.embed(EmbedParams(["a", "b"]), Caller(1))
    assert isinstance(again, dict)
    assert again["vectors"] == first["vectors"]
    assert again["hits"] == {"memory": 2}
    assert len(embedder.calls) == 1


async def test_many_who_ask_for_one_text_cause_one_call(bench: Bench) -> None:
    embedder = Scripted()
    await bench.serve(embedder)
    replies = await asyncio.gather(*[bench.embed("a") for _ in range(20)])
    assert embedder.calls == [("m", ["a"], "end")]
    assert len({reply["vectors"]["data"] for reply in replies}) == 1


async def test_named_prompts_are_put_before_the_texts(bench: Bench) -> None:
    embedder = Scripted(model_of("m", prompts={"query": "query: "}))
    await bench.serve(embedder)
    await bench.embed("a", prompt="query")
    assert embedder.calls == [("m", ["query: a"], "end")]


def test_tokens_are_estimated_by_bytes() -> None:
    assert estimate_tokens(["", "abc", "\u6587\u672c"]) == [2, 3, 4]


# fallback


def away(model: str, texts: Sequence[str]) -> Any:
    return UpstreamUnavailableError("away") if model == "m" else [good(text) for text in texts]


async def test_the_fallback_answers_whole_requests_and_says_so(bench: Bench) -> None:
    other = model_of("n", dim=DIM)
    embedder = Scripted(model_of("m", fallback="n"), other, answer=away)
    await bench.serve(embedder)
    reply = await bench.embed("a", "b")
    assert (reply["model"], reply["fingerprint"]) == ("n", other.fingerprint)
    assert reply["instead_of"] == "m"
    brief = await bench.embed("a", brief=True)
    assert (brief["model"], brief["instead_of"]) == ("n", "m")
    again = await bench.embed("a", model="n")
    assert (again["hits"], again["instead_of"]) == ({"memory": 1}, None)
    assert len(bench.told("model.fallback")) == 1


async def test_a_request_that_was_half_cached_is_answered_by_one_model_all_the_same(
    bench: Bench,
) -> None:
    embedder = Scripted(model_of("m", fallback="n"), model_of("n"))
    await bench.serve(embedder)
    await bench.embed("a")
    embedder.answer = away
    for partial in (False, True):
        reply = await bench.embed("a", f"b{partial}", partial=partial)
        assert (reply["model"], reply["errors"]) == ("n", [])


async def test_a_request_may_refuse_the_fallback(bench: Bench) -> None:
    await bench.serve(Scripted(model_of("m", fallback="n"), model_of("n"), answer=away))
    with pytest.raises(UpstreamUnavailableError, match="away"):
        await bench.embed("a", fallback=False)
    reply = await bench.embed("a", fallback=False, partial=True)
    assert (reply["model"], reply["errors"][0]["code"]) == ("m", "UPSTREAM_UNAVAILABLE")


async def test_only_an_outage_falls_back(bench: Bench) -> None:
    embedder = Scripted(model_of("m", fallback="n"), model_of("n"))
    await bench.serve(embedder)
    for error in (RateLimitedError("slow"), ValueError("no")):
        embedder.answer = lambda model, texts, error=error: error  # type: ignore[misc]
        with pytest.raises((RateLimitedError, EmbeddingFailedError)):
            await bench.embed("a")


async def test_a_disabled_plugin_falls_back_too(bench: Bench) -> None:
    await bench.serve(Scripted(model_of("m", fallback="n")), Scripted(model_of("n")))
    bench.guards[0].disable()
    assert (await bench.embed("a"))["model"] == "n"


async def test_other_methods_never_fall_back(bench: Bench) -> None:
    await bench.serve(Scripted(model_of("m", fallback="n"), model_of("n"), answer=away))
    with pytest.raises(UpstreamUnavailableError):
        await bench.service.vectors(["a"], "texts", EmbedParams([]), Caller(1))


async def test_the_fallback_event_is_told_once_a_minute(bench: Bench) -> None:
    await bench.serve(Scripted(model_of("m", fallback="n"), model_of("n"), answer=away))
    for text in ("a", "b", "c"):
        await bench.embed(text)
    assert len(bench.told("model.fallback")) == 1
    bench.time += 61
    await bench.embed("d")
    assert len(bench.told("model.fallback")) == 2


async def test_models_that_stand_in_for_each_other_do_not_go_round(bench: Bench) -> None:
    embedder = Scripted(
        model_of("m", fallback="n"),
        model_of("n", fallback="m"),
        answer=lambda model, texts: UpstreamUnavailableError(f"{model} is away"),
    )
    await bench.serve(embedder)
    with pytest.raises(UpstreamUnavailableError, match="n is away"):
        await bench.embed("a")
    assert [model for model, _, _ in embedder.calls] == ["m", "n"]


@pytest.mark.parametrize("options", [{"prompt": "query"}, {"dimensions": 4}])
async def test_a_fallback_that_cannot_do_what_was_asked_does_not_answer(
    bench: Bench, options: dict[str, Any]
) -> None:
    model = model_of("m", fallback="n", prompts={"query": "query: "})
    await bench.serve(Scripted(model, model_of("n", dim=2), answer=away))
    with pytest.raises(UpstreamUnavailableError, match="away"):
        await bench.embed("a", **options)


async def test_a_fallback_that_is_not_there_is_told(bench: Bench) -> None:
    await bench.serve(Scripted(model_of("m", fallback="nobody"), answer=away))
    with pytest.raises(UpstreamUnavailableError, match="away"):
        await bench.embed("a")
    assert "nobody" in bench.told("model.fallback")[0]


async def test_the_deadline_is_of_the_request_and_not_of_each_model(bench: Bench) -> None:
    embedder = Scripted(model_of("m", fallback="n"), model_of("n"))
    await bench.serve(embedder)

    def answer(model: str, texts: Sequence[str]) -> Any:
        embedder.gate.close()  # the fallback hangs
        return UpstreamUnavailableError("away")

    embedder.answer = answer
    with pytest.raises(DeadlineExceededError):
        await bench.embed("a", deadline_ms=100)
    assert [model for model, _, _ in embedder.calls] == ["m", "n"]
    embedder.gate.open()
