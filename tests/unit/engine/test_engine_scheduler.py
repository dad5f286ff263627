"""The scheduler: what follows from each event, and what holds after any of them."""

from __future__ import annotations

from typing import Any

import pytest
from engine_fakes import text_of
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from emberd.engine.events import (
    BatchDone,
    BatchFailed,
    BudgetLowered,
    CallerDied,
    CallerReady,
    CloseModel,
    Closing,
    Event,
    ModelLoaded,
    ModelUnloaded,
    RestartCaller,
    RunBatch,
    Settle,
    TextsAbandoned,
    TextsQueued,
)
from emberd.engine.scheduler import Scheduler
from emberd.engine.text import Batch, Embedded, Text
from emberd.errors import CancelledRequestError, EmbeddingFailedError, ShuttingDownError

VECTOR = Embedded(None, 1, truncated=False)  # type: ignore[arg-type]


class Bench:
    """A scheduler and what its instructions have led to."""

    def __init__(self, callers: int = 1, budget: int = 100, **options: Any) -> None:
        self.scheduler = Scheduler(**options)
        self.running: dict[int, Batch] = {}
        self.settled: dict[Text, Any] = {}
        self.ran: list[Batch] = []
        self.restarted: list[int] = []
        self.closed: list[str] = []
        self.post(ModelLoaded("m", budget))
        for caller in range(callers):
            self.post(CallerReady(caller))

    def post(self, event: Event) -> None:
        if isinstance(event, BatchDone | BatchFailed | CallerDied):
            self.running.pop(event.caller, None)
        for instruction in self.scheduler.handle(event):
            match instruction:
                case RunBatch(caller, batch):
                    assert caller not in self.running, "the caller was busy"
                    self.running[caller] = batch
                    self.ran.append(batch)
                case Settle(outcomes):
                    for text, outcome in outcomes:
                        assert text not in self.settled, "settled twice"
                        self.settled[text] = outcome
                case RestartCaller(caller):
                    self.restarted.append(caller)
                case CloseModel(model):
                    assert all(batch.model != model for batch in self.running.values())
                    self.closed.append(model)

    def queue(self, *lengths: int, **of: str) -> list[Text]:
        texts = [text_of(length, **of) for length in lengths]
        self.post(TextsQueued(texts))
        return texts

    def done(self, caller: int = 0, seconds: float = 0.0) -> None:
        self.post(BatchDone(caller, [VECTOR] * len(self.running[caller].texts), seconds))

    def fail(self, caller: int = 0, *, out_of_memory: bool = False) -> None:
        self.post(BatchFailed(caller, ValueError("bad"), out_of_memory))

    def run_out(self, poisoned: set[Text] | None = None) -> None:
        """Let everything that runs end, batches with a poisoned text badly."""
        while self.running:
            caller, batch = next(iter(self.running.items()))
            if poisoned and poisoned.intersection(batch.texts):
                self.fail(caller)
            else:
                self.done(caller)


def test_an_idle_caller_takes_a_text_the_moment_it_is_there() -> None:
    bench = Bench()
    texts = bench.queue(10)
    assert bench.running[0].texts == texts
    bench.done()
    assert bench.settled == {texts[0]: VECTOR}


def test_what_waited_during_a_batch_goes_together_into_the_next() -> None:
    bench = Bench()
    bench.queue(10)
    later = bench.queue(10, 10) + bench.queue(10)
    bench.done()
    assert bench.running[0].texts == later


def test_a_text_that_has_the_device_to_itself_is_marked_so() -> None:
    bench = Bench(callers=2)
    bench.queue(10)
    bench.queue(10)
    assert [batch.is_alone for batch in bench.ran] == [True, False]
    bench.run_out()
    bench.queue(90, 10)
    assert not bench.ran[-1].is_alone


@pytest.mark.parametrize("bad", range(7))
def test_a_poisoned_text_fails_alone(bad: int) -> None:
    bench = Bench()
    texts = bench.queue(10, 10, 10, 10, 10, 10, 10)
    bench.run_out({texts[bad]})
    assert isinstance(bench.settled.pop(texts[bad]), EmbeddingFailedError)
    assert list(bench.settled.values()) == [VECTOR] * 6


def test_an_abandoned_text_is_not_run_and_not_settled() -> None:
    bench = Bench()
    bench.queue(10)
    waiting = bench.queue(11, 12)
    bench.post(TextsAbandoned(waiting[:1]))
    bench.done()
    assert bench.running[0].texts == waiting[1:]
    bench.done()
    assert waiting[0] not in bench.settled


def test_a_text_abandoned_before_it_was_tokenised_is_not_run() -> None:
    bench = Bench()
    text = text_of(10)
    bench.post(TextsAbandoned([text]))
    bench.post(TextsQueued([text]))
    assert not bench.running


def test_an_abandoned_text_is_left_out_of_the_second_try() -> None:
    bench = Bench()
    texts = bench.queue(10, 10, 10)
    bench.post(TextsAbandoned(texts[:2]))
    bench.fail()
    assert [batch.texts for batch in bench.ran[1:]] == [texts[2:]]


def test_running_out_of_memory_halves_the_budget_for_good() -> None:
    bench = Bench(budget=100)
    texts = bench.queue(*[10] * 10)
    bench.fail(out_of_memory=True)
    assert bench.scheduler.budget("m") == 50
    bench.run_out()
    assert [bench.settled[text] for text in texts] == [VECTOR] * 10
    bench.queue(*[10] * 10)
    assert len(bench.ran[-1].texts) == 5


def test_a_model_on_a_slower_device_gets_smaller_batches() -> None:
    bench = Bench(budget=100)
    bench.post(BudgetLowered("m", 40))
    bench.queue(*[10] * 10)
    assert len(bench.ran[-1].texts) == 4
    bench.post(BudgetLowered("m", 90))
    bench.post(BudgetLowered("another", 1))
    assert (bench.scheduler.budget("m"), bench.scheduler.budget("another")) == (40, 0)


def test_a_text_too_large_for_memory_by_itself_fails_alone() -> None:
    bench = Bench(budget=100)
    (text,) = bench.queue(90)
    bench.fail(out_of_memory=True)
    assert "too little memory" in bench.settled[text].message
    bench.queue(40)
    bench.done()
    assert list(bench.settled.values())[-1] is VECTOR


def test_two_batches_that_fail_for_memory_at_once_halve_the_budget_once() -> None:
    bench = Bench(callers=2, budget=100, parallel=False)
    bench.queue(*[10] * 20)
    bench.fail(0, out_of_memory=True)
    bench.fail(1, out_of_memory=True)
    assert bench.scheduler.budget("m") == 50


def test_a_dead_caller_is_replaced_and_its_texts_are_tried_again() -> None:
    bench = Bench()
    texts = bench.queue(10, 10)
    bench.post(CallerDied(0, SystemExit()))
    assert bench.restarted == [0]
    assert not bench.running, "a dead caller is given nothing"
    assert "died (SystemExit)" in bench.scheduler.problems()[0]
    bench.post(CallerReady(0))
    assert bench.scheduler.problems(), "red until something has succeeded"
    bench.run_out()
    assert [bench.settled[text] for text in texts] == [VECTOR, VECTOR]
    assert bench.scheduler.problems() == []


def test_an_idle_caller_that_dies_is_replaced_too() -> None:
    bench = Bench()
    bench.post(CallerDied(0, SystemExit()))
    bench.queue(10)
    assert bench.restarted == [0]
    assert not bench.running


def test_a_device_that_fails_on_everything_is_a_problem_until_it_succeeds() -> None:
    bench = Bench()
    for _ in range(4):
        bench.queue(10)
        bench.fail()
    assert "ValueError: bad" in bench.scheduler.problems()[0]
    bench.queue(10)
    bench.done()
    assert bench.scheduler.problems() == []


def test_unloading_refuses_what_waits_and_lets_what_runs_finish() -> None:
    bench = Bench()
    (running,) = bench.queue(10)
    (waiting,) = bench.queue(10)
    bench.post(ModelUnloaded("m"))
    assert isinstance(bench.settled[waiting], CancelledRequestError)
    assert bench.closed == []
    bench.done()
    assert bench.settled[running] is VECTOR
    assert bench.closed == ["m"]


def test_a_text_tokenised_for_a_model_that_is_gone_is_refused() -> None:
    bench = Bench()
    bench.post(ModelUnloaded("m"))
    (text,) = bench.queue(10)
    assert isinstance(bench.settled[text], CancelledRequestError)


def test_a_batch_that_fails_on_an_unloaded_model_is_not_tried_again() -> None:
    bench = Bench()
    texts = bench.queue(10, 10)
    bench.post(ModelUnloaded("m"))
    bench.fail()
    assert all(isinstance(bench.settled[text], CancelledRequestError) for text in texts)
    assert bench.closed == ["m"]


def test_closing_settles_everything_and_starts_nothing() -> None:
    bench = Bench()
    texts = bench.queue(10) + bench.queue(11)
    bench.post(Closing())
    assert all(isinstance(bench.settled[text], ShuttingDownError) for text in texts)
    bench.done()
    bench.queue(10)
    assert not bench.running
    bench.post(CallerDied(0, SystemExit()))
    assert bench.restarted == []


def test_the_budget_follows_a_slow_models_speed() -> None:
    bench = Bench(budget=1_000, target_s=0.1)
    for _ in range(30):
        bench.queue(*[10] * 100)
        bench.done(seconds=len(bench.running[0].texts) * 10 / 2_000)  # 2,000 tokens/s
        bench.run_out()
    assert bench.scheduler.budget("m") == pytest.approx(200, rel=0.1)


def test_the_budget_of_a_fast_model_stays_what_it_is() -> None:
    bench = Bench(budget=1_000, target_s=0.1)
    bench.queue(*[10] * 100)
    bench.done(seconds=0.02)
    assert bench.scheduler.budget("m") == 1_000


class AnyOrder(RuleBasedStateMachine):
    """Events in any order that a driver could give them."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(callers=2, budget=60)
        self.bench.post(ModelLoaded("n", 60, equal_only=True))
        self.loaded = {"m", "n"}
        self.texts: list[Text] = []
        self.poisoned: set[Text] = set()
        self.abandoned: set[Text] = set()
        self.excused: set[Text] = set()  # may fail through no fault of their own
        self.is_closing = False

    @rule(
        lengths=st.lists(st.integers(1, 70), min_size=1, max_size=12),
        model=st.sampled_from(["m", "n"]),
        priority=st.sampled_from(["interactive", "bulk"]),
        poison=st.integers(0, 30),
    )
    def queue(self, lengths: list[int], model: str, priority: str, poison: int) -> None:
        texts = [text_of(length, model=model, priority=priority) for length in lengths]
        self.texts += texts
        self.poisoned.update(texts[poison : poison + 1])
        if model not in self.loaded or self.is_closing:
            self.excused.update(texts)
        self.bench.post(TextsQueued(texts))

    @precondition(lambda self: self.texts)
    @rule(data=st.data())
    def abandon(self, data: st.DataObject) -> None:
        text = data.draw(st.sampled_from(self.texts))
        if text not in self.bench.settled:
            self.abandoned.add(text)
        self.bench.post(TextsAbandoned([text]))

    @precondition(lambda self: self.bench.running)
    @rule(data=st.data(), fate=st.sampled_from(["fair", "fair", "out of memory", "death"]))
    def end_batch(self, data: st.DataObject, fate: str) -> None:
        caller = data.draw(st.sampled_from(sorted(self.bench.running)))
        batch = self.bench.running[caller]
        if fate == "fair":
            self._end_fairly(caller)
        elif fate == "death":
            self.excused.update(batch.texts if len(batch.texts) == 1 else [])
            self.bench.post(CallerDied(caller, SystemExit()))
        else:
            self.excused.update(batch.texts if len(batch.texts) == 1 else [])
            self.bench.fail(caller, out_of_memory=True)

    @precondition(lambda self: self.bench.restarted)
    @rule()
    def restart(self) -> None:
        self.bench.post(CallerReady(self.bench.restarted.pop()))

    @rule(model=st.sampled_from(["m", "n"]))
    def unload(self, model: str) -> None:
        self.excused.update(text for text in self.texts if text.request.model == model)
        self.loaded.discard(model)
        self.bench.post(ModelUnloaded(model))

    @rule(model=st.sampled_from(["m", "n"]))
    def load(self, model: str) -> None:
        if model not in self.loaded and (model in self.bench.closed):
            self.loaded.add(model)
            self.bench.post(ModelLoaded(model, 60, equal_only=model == "n"))

    @precondition(lambda self: not self.is_closing and len(self.texts) > 60)
    @rule()
    def close(self) -> None:
        self.is_closing = True
        self.excused.update(self.texts)
        self.bench.post(Closing())

    @invariant()
    def batches_are_sound(self) -> None:
        for batch in self.bench.running.values():
            assert {text.request.model for text in batch.texts} == {batch.model}
            assert batch.model == "m" or batch.padding == 0

    @invariant()
    def no_text_is_in_two_batches(self) -> None:
        texts = [text for batch in self.bench.running.values() for text in batch.texts]
        assert len(texts) == len(set(texts))

    @invariant()
    def an_abandoned_text_is_not_settled(self) -> None:
        assert not self.abandoned & self.bench.settled.keys()

    def _end_fairly(self, caller: int) -> None:
        if self.poisoned.intersection(self.bench.running[caller].texts):
            self.bench.fail(caller)
        else:
            self.bench.done(caller)

    def teardown(self) -> None:
        while self.bench.restarted or self.bench.running:
            while self.bench.restarted:
                self.restart()
            for caller in list(self.bench.running):
                self._end_fairly(caller)
        assert self.bench.scheduler.waiting_texts == 0
        for text in self.texts:
            if text in self.abandoned:
                continue
            outcome = self.bench.settled[text]
            if text in self.poisoned:
                assert outcome is not VECTOR
            elif text not in self.excused:
                assert outcome is VECTOR


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
