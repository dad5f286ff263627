"""The scheduler at work: its one lock, the caller threads, and what becomes of instructions.

Events come from tokeniser workers and callers; each handles its event itself, so that a caller
that ends a batch leaves with the next one and waits for no other thread. The event loop never
takes the lock: a caller at low priority may hold it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emberd.engine.backend import EmbedderBackend
from emberd.engine.callers import Caller
from emberd.engine.events import (
    BatchDone,
    BatchFailed,
    CallerDied,
    CloseModel,
    Event,
    Instruction,
    RestartCaller,
    RunBatch,
    Settle,
    TextsQueued,
)
from emberd.engine.meter import Meter
from emberd.engine.scheduler import Scheduler
from emberd.engine.text import Batch, Embedded, Outcome, Text
from emberd.errors import EmbeddingFailedError
from emberd.telemetry.events import EventLog

__all__ = ["Dispatcher", "Gauges", "Listener"]


_QUIET_S = 1.0


class Listener(Protocol):
    """What the dispatcher reports to; called from any thread."""

    def settle(self, outcomes: list[tuple[Text, Outcome]]) -> None:
        """These texts have their answers."""
        ...

    def model_closed(self, model: str) -> None:
        """Nothing runs on this unloaded model any more."""
        ...

    def scheduler_failed(self, error: Exception) -> None:
        """A defect: no text that is open can be trusted to be settled."""
        ...


@dataclass(frozen=True, slots=True)
class Gauges:
    """The queue at the last event, for readers on other threads."""

    waiting_texts: int = 0
    waiting_tokens: int = 0
    oldest_s: float | None = None
    running: int = 0
    running_texts: int = 0


class Dispatcher:
    """Owns the scheduler, the callers and the meter."""

    def __init__(
        self,
        scheduler: Scheduler,
        listener: Listener,
        log: EventLog,
        *,
        callers: int,
        is_background: bool,
    ) -> None:
        self.meter = Meter()
        self.gauges = Gauges()
        self.backends: dict[str, EmbedderBackend] = {}
        self._scheduler = scheduler
        self._listener = listener
        self._log = log
        self._lock = threading.Lock()
        self._running: dict[int, Batch] = {}
        self._told_s = -_QUIET_S
        self._callers = [
            Caller(index, self._run, self.post, is_background=is_background)
            for index in range(callers)
        ]

    def start(self) -> None:
        for caller in self._callers:
            caller.start()

    def stop(self) -> None:
        """Let the callers end after what they run."""
        for caller in self._callers:
            caller.stop()

    def join(self, timeout_s: float) -> bool:
        """Wait for the callers' end; False when one still runs."""
        return all(caller.join(timeout_s) for caller in self._callers)

    def post(self, event: Event) -> None:
        """Take an event in and do what follows from it. Never call it on the event loop."""
        with self._lock:
            try:
                self._count(event)
                for instruction in self._scheduler.handle(event):
                    self._follow(instruction)
            except Exception as exc:
                self._listener.scheduler_failed(exc)
            self._publish()

    def budget(self, model: str) -> int:
        """The model's tokens a batch at present."""
        return self._scheduler.budget(model)

    def problems(self) -> list[str]:
        """What is wrong on the device side at present."""
        return self._scheduler.problems()

    def _follow(self, instruction: Instruction) -> None:
        match instruction:
            case RunBatch(caller, batch):
                self._running[caller] = batch
                self.meter.started(caller, batch)
                self._callers[caller].give(batch)
            case Settle(outcomes):
                self._listener.settle(outcomes)
            case RestartCaller(caller):
                self.meter.totals.restarts += 1
                self._callers[caller].start()
            case CloseModel(model):
                del self.backends[model]
                self._listener.model_closed(model)

    def _count(self, event: Event) -> None:
        if isinstance(event, TextsQueued):
            self.meter.totals.tokenise_s += event.seconds
        if not isinstance(event, BatchDone | BatchFailed | CallerDied):
            return
        batch = self._running.pop(event.caller, None)
        if batch is not None:
            self.meter.ended(event.caller, batch, failed=not isinstance(event, BatchDone))
        if not isinstance(event, BatchDone):
            self._tell(event, batch)

    def _tell(self, event: BatchFailed | CallerDied, batch: Batch | None) -> None:
        is_death = isinstance(event, CallerDied)
        now = self.meter.clock()
        if now - self._told_s < _QUIET_S and not is_death:
            return  # a poisoned batch fails a dozen times on the way to its text
        self._told_s = now
        self._log.emit(
            "engine.caller_died" if is_death else "engine.batch_failed",
            f"{type(event.error).__name__}: {event.error}",
            level="error" if is_death else "warning",
            caller=event.caller,
            texts=len(batch.texts) if batch else 0,
            width=batch.width if batch else 0,
        )

    def _publish(self) -> None:
        scheduler = self._scheduler
        self.gauges = Gauges(
            scheduler.waiting_texts,
            scheduler.waiting_tokens,
            scheduler.oldest_s(),
            len(self._running),
            sum(len(batch.texts) for batch in self._running.values()),
        )

    def _run(self, caller: int, batch: Batch) -> Event:
        """On the caller's thread: the batch through the model, each row with its text."""
        backend = self.backends[batch.model]
        started = self.meter.clock()
        try:
            rows = [text.encoded for text in batch.texts]
            vectors = backend.embed(rows, batch.width, alone=batch.is_alone)
            outcomes = _outcomes(batch, vectors)
        except Exception as exc:
            return BatchFailed(caller, exc, out_of_memory=backend.is_out_of_memory(exc))
        return BatchDone(caller, outcomes, self.meter.clock() - started)


def _outcomes(batch: Batch, vectors: NDArray[np.float32]) -> list[Outcome]:
    """One outcome a text. A row that is not finite fails its text: cached, it would spread."""
    texts = batch.texts
    if len(vectors) != len(texts):
        raise ValueError(f"the model gave {len(vectors)} rows for {len(texts)} texts")
    found: list[Outcome] = [
        Embedded(vector, text.encoded.length, text.encoded.truncated)
        for vector, text in zip(vectors, texts, strict=True)
    ]
    if not np.isfinite(vectors).all():
        for row in np.flatnonzero(~np.isfinite(vectors).all(axis=1)):
            found[row] = EmbeddingFailedError(
                "The model's vector for this text holds values that are not numbers. Other texts "
                "are not affected; change this one or leave it out."
            )
    return found
