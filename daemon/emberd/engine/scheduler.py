"""The scheduler: events in, instructions out. Pure: no thread, no clock, no array.

Promises, whatever the order of events: every text it was given is settled exactly once or was
abandoned; a failed batch is cut in two until the one bad text fails alone; a batch that ran out of
memory is cut likewise and its model's budget stays halved; a dead caller is replaced and its texts
are tried again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from emberd.engine.events import (
    BatchDone,
    BatchFailed,
    BudgetLowered,
    CallerDied,
    CallerReady,
    CloseModel,
    Closing,
    Event,
    Instruction,
    ModelLoaded,
    ModelUnloaded,
    RestartCaller,
    RunBatch,
    Settle,
    TextsAbandoned,
    TextsQueued,
)
from emberd.engine.planner import Planner, PlanRules
from emberd.engine.text import Batch, Text
from emberd.errors import (
    CancelledRequestError,
    EmbeddingFailedError,
    EmberdError,
    ShuttingDownError,
)

__all__ = ["Scheduler"]

_SMALLEST_BUDGET = 128  # tokens; below it a batch's own cost is a tenth of it and more
_FAILURES_IN_A_ROW = 4  # single texts that fail with no success between: not the texts' fault


class _Model:
    """A loaded model's budget, and how fast it has proved to be."""

    __slots__ = ("budget", "equal_only", "most", "tokens_per_s")

    def __init__(self, budget: int, equal_only: bool) -> None:
        self.most = budget
        self.budget = budget
        self.equal_only = equal_only
        self.tokens_per_s = 0.0

    def ran_out_of_memory(self, batch: Batch) -> None:
        self.limit(max(1, batch.cost // 2))

    def limit(self, most: int) -> None:
        self.most = min(self.most, most)
        self.budget = min(self.budget, self.most)

    def measured(self, batch: Batch, seconds: float, target_s: float) -> None:
        """Fit the budget to the target; small batches say little about the rate."""
        if seconds <= 0 or batch.cost < self.budget // 2:
            return
        rate = batch.cost / seconds
        self.tokens_per_s = rate if not self.tokens_per_s else 0.8 * self.tokens_per_s + 0.2 * rate
        fitting = max(_SMALLEST_BUDGET, int(self.tokens_per_s * target_s))
        self.budget = min(self.most, fitting)


class Scheduler:
    """`handle(event)` returns what to do. One owner calls it, one event at a time."""

    def __init__(
        self, rules: PlanRules | None = None, *, target_s: float = 0.0, parallel: bool = True
    ) -> None:
        """`target_s` bounds the time of a batch (0: the budget is fixed); `parallel` says that
        callers compute side by side, so that a short queue is shared out among idle ones."""
        self._planner = Planner(rules)
        self._target_s = target_s
        self._parallel = parallel
        self._models: dict[str, _Model] = {}
        self._unloading: set[str] = set()
        self._idle: list[int] = []
        self._running: dict[int, Batch] = {}
        self._retries: deque[Batch] = deque()
        self._is_closing = False
        self._failures = 0
        self._last_failure = ""
        self._death = ""

    # what others may look at

    @property
    def waiting_texts(self) -> int:
        return self._planner.texts + sum(len(batch.texts) for batch in self._retries)

    @property
    def waiting_tokens(self) -> int:
        return self._planner.tokens + sum(batch.tokens for batch in self._retries)

    def oldest_s(self) -> float | None:
        """When the text that has waited longest was submitted."""
        return self._planner.oldest_s()

    def budget(self, model: str) -> int:
        """The model's tokens a batch at present; 0 when it is not loaded."""
        found = self._models.get(model)
        return found.budget if found else 0

    def problems(self) -> list[str]:
        """What is wrong at present, each with what to do; empty when all is well."""
        found = []
        if self._death:
            found.append(
                f"A caller thread died ({self._death}) and was replaced; no batch has succeeded "
                "since. If this stays, restart the daemon."
            )
        if self._failures >= _FAILURES_IN_A_ROW:
            found.append(
                f"The last {self._failures} texts all failed on the device "
                f"({self._last_failure}). Unload the model and load it again, or restart the "
                "daemon."
            )
        return found

    # events

    def handle(self, event: Event) -> list[Instruction]:
        """Take one event in; returns the instructions that follow from it, in order."""
        out: list[Instruction] = []
        _HANDLERS[type(event)](self, event, out)
        self._assign(out)
        return out

    def _on_model_loaded(self, event: ModelLoaded, out: list[Instruction]) -> None:
        self._models[event.model] = _Model(event.budget, event.equal_only)
        self._unloading.discard(event.model)

    def _on_budget_lowered(self, event: BudgetLowered, out: list[Instruction]) -> None:
        if model := self._models.get(event.model):
            model.limit(event.budget)

    def _on_model_unloaded(self, event: ModelUnloaded, out: list[Instruction]) -> None:
        if self._models.pop(event.model, None) is None:
            return
        waiting = self._planner.drop(event.model)
        for batch in [batch for batch in self._retries if batch.model == event.model]:
            self._retries.remove(batch)
            waiting += batch.texts
        self._refuse(waiting, _unloaded(event.model), out)
        self._unloading.add(event.model)
        self._close_idle_models(out)

    def _on_texts_queued(self, event: TextsQueued, out: list[Instruction]) -> None:
        for text in event.texts:
            if text.is_settled:
                continue  # given up while it was tokenised
            if self._is_closing:
                self._refuse([text], _closing(), out)
            elif text.request.model not in self._models:
                self._refuse([text], _unloaded(text.request.model), out)
            else:
                self._planner.add(text)

    def _on_texts_abandoned(self, event: TextsAbandoned, out: list[Instruction]) -> None:
        for text in event.texts:
            if not text.is_settled:
                text.is_settled = True
                self._planner.discard(text)

    def _on_caller_ready(self, event: CallerReady, out: list[Instruction]) -> None:
        if event.caller not in self._idle and event.caller not in self._running:
            self._idle.append(event.caller)

    def _on_batch_done(self, event: BatchDone, out: list[Instruction]) -> None:
        batch = self._take_back(event.caller, out)
        if batch is None:
            return
        self._death, self._failures = "", 0
        model = self._models.get(batch.model)
        if model is not None and self._target_s:
            model.measured(batch, event.seconds, self._target_s)
        self._settle(list(zip(batch.texts, event.outcomes, strict=True)), out)

    def _on_batch_failed(self, event: BatchFailed, out: list[Instruction]) -> None:
        batch = self._take_back(event.caller, out)
        if batch is not None:
            self._cut(batch, event.error, out, out_of_memory=event.out_of_memory)

    def _on_caller_died(self, event: CallerDied, out: list[Instruction]) -> None:
        self._death = _in_words(event.error)
        batch = self._take_back(event.caller, out, is_alive=False)
        if event.caller in self._idle:
            self._idle.remove(event.caller)
        if batch is not None:
            self._cut(batch, event.error, out, out_of_memory=False)
        if not self._is_closing:
            out.append(RestartCaller(event.caller))

    def _on_closing(self, event: Closing, out: list[Instruction]) -> None:
        self._is_closing = True
        waiting = self._planner.drop()
        for batch in [*self._retries, *self._running.values()]:
            waiting += batch.texts
        self._retries.clear()
        self._refuse(waiting, _closing(), out)

    # what follows

    def _assign(self, out: list[Instruction]) -> None:
        """Every idle caller takes what is waiting, the moment it is there."""
        while self._idle and not self._is_closing:
            batch = self._next_batch()
            if batch is None:
                return
            caller = self._idle.pop()
            batch.is_alone = not self._running and not self._retries and not self._planner.texts
            self._running[caller] = batch
            out.append(RunBatch(caller, batch))

    def _next_batch(self) -> Batch | None:
        while self._retries:
            batch = self._retries.popleft()
            texts = [text for text in batch.texts if not text.is_settled]
            if texts:
                return Batch(texts, batch.budget)
        sharers = len(self._idle) if self._parallel else 1
        return self._planner.plan(self._budget_of, sharers)

    def _budget_of(self, model: str) -> tuple[int, bool]:
        found = self._models[model]
        return found.budget, found.equal_only

    def _take_back(
        self, caller: int, out: list[Instruction], *, is_alive: bool = True
    ) -> Batch | None:
        batch = self._running.pop(caller, None)
        if batch is None:
            return None
        if is_alive:
            self._idle.append(caller)
        self._close_idle_models(out)
        return batch

    def _close_idle_models(self, out: list[Instruction]) -> None:
        busy = {batch.model for batch in self._running.values()}
        for model in self._unloading - busy:
            self._unloading.discard(model)
            out.append(CloseModel(model))

    def _cut(
        self, batch: Batch, error: BaseException, out: list[Instruction], *, out_of_memory: bool
    ) -> None:
        """Try the halves of a failed batch again; a text that fails alone is the one to blame."""
        model = self._models.get(batch.model)
        if out_of_memory and model is not None:
            model.ran_out_of_memory(batch)
        texts = [text for text in batch.texts if not text.is_settled]
        if model is None:
            self._refuse(texts, _unloaded(batch.model), out)
        elif len(batch.texts) == 1:
            self._failures += 1
            self._last_failure = _in_words(error)
            self._refuse(texts, _failed(error, out_of_memory=out_of_memory), out)
        else:
            middle = (len(texts) + 1) // 2
            halves = [texts[:middle], texts[middle:]]
            self._retries.extend(Batch(half, model.budget) for half in halves if half)

    def _refuse(
        self, texts: list[Text], error: Callable[[], EmberdError], out: list[Instruction]
    ) -> None:
        """Settle each text with an error of its own: a shared one would share its traceback."""
        self._settle([(text, error()) for text in texts], out)

    def _settle(self, outcomes: list[tuple[Text, Any]], out: list[Instruction]) -> None:
        fresh = [pair for pair in outcomes if not pair[0].is_settled]
        for text, _ in fresh:
            text.is_settled = True
        if fresh:
            out.append(Settle(fresh))


def _in_words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _failed(error: BaseException, *, out_of_memory: bool) -> Callable[[], EmberdError]:
    advice = (
        "The device has too little memory for it alone; shorten it or free memory."
        if out_of_memory
        else "Other texts are not affected; change this one or leave it out."
    )
    message = f"The model failed on this text ({_in_words(error)}). {advice}"

    def make() -> EmberdError:
        failure = EmbeddingFailedError(message)
        failure.__cause__ = error
        return failure

    return make


def _unloaded(model: str) -> Callable[[], EmberdError]:
    return lambda: CancelledRequestError(
        "The model was unloaded while this text waited for it. Send the text again.",
        details={"fingerprint": model},
    )


def _closing() -> Callable[[], EmberdError]:
    return lambda: ShuttingDownError(
        "The daemon is shutting down and did not get to this text. Send it again once it runs."
    )


_HANDLERS: dict[type, Callable[[Scheduler, Any, list[Instruction]], None]] = {
    ModelLoaded: Scheduler._on_model_loaded,
    BudgetLowered: Scheduler._on_budget_lowered,
    ModelUnloaded: Scheduler._on_model_unloaded,
    TextsQueued: Scheduler._on_texts_queued,
    TextsAbandoned: Scheduler._on_texts_abandoned,
    CallerReady: Scheduler._on_caller_ready,
    BatchDone: Scheduler._on_batch_done,
    BatchFailed: Scheduler._on_batch_failed,
    CallerDied: Scheduler._on_caller_died,
    Closing: Scheduler._on_closing,
}
