"""The engine as the service sees it: futures on the event loop, work on threads."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

from emberd.config import EngineSettings
from emberd.engine.backend import EmbedderBackend
from emberd.engine.device import Device, choose_device, usable_cores
from emberd.engine.dispatch import Dispatcher
from emberd.engine.events import (
    BudgetLowered,
    Closing,
    Event,
    ModelLoaded,
    ModelUnloaded,
    TextsAbandoned,
    TextsQueued,
)
from emberd.engine.guarded import GuardedBackend, OpenBackend
from emberd.engine.intake import encode_texts, slices
from emberd.engine.lanes import LanePool
from emberd.engine.ledger import Ledger
from emberd.engine.meter import OnBatch
from emberd.engine.planner import PlanRules
from emberd.engine.report import engine_problems, engine_stats
from emberd.engine.residents import Residents
from emberd.engine.scheduler import Scheduler
from emberd.engine.text import Embedded, Outcome, Priority, Request, Text, Truncate
from emberd.errors import EmberdError, InternalError, OverloadedError, ShuttingDownError
from emberd.models import StoredModel
from emberd.telemetry.events import EventLog
from emberd.wire.snapshot import EngineStats

__all__ = ["Engine", "OpenBackend"]

_CPU_BATCH_S = 0.05  # batches shrink to this, so that a query never waits long for a caller
# A GPU's batch costs milliseconds before its first token.
_GPU_RULES = PlanRules(overhead_tokens=2_048)
_JOIN_S = 5.0
_COUNT_TEXTS = 64


def _open_onnx(model: StoredModel, device: Device) -> EmbedderBackend:
    # tokenizers comes with it; an engine without a model need not wait for it.
    from emberd.engine.session import OnnxBackend  # noqa: PLC0415

    return OnnxBackend(model, device)


class Engine:
    """Embeds texts with the loaded models. One event loop uses it, and nothing here blocks it."""

    def __init__(
        self,
        settings: EngineSettings,
        *,
        log: EventLog | None = None,
        open_backend: OpenBackend = _open_onnx,
    ) -> None:
        self._settings = settings
        self._log = log or EventLog(logging.getLogger("emberd"))
        self._open_backend = open_backend
        self._is_started = False
        self._is_closing = False
        self._defect = ""
        self._misfits: dict[str, str] = {}  # models that this GPU cannot run, and why

    async def start(self) -> None:
        """Find the device and start the threads; before anything else."""
        self._loop = asyncio.get_running_loop()
        self._device = await asyncio.to_thread(choose_device, self._settings)
        self._ledger = Ledger(self._abandon)
        self._counts: set[asyncio.Future[list[int | EmberdError]]] = set()
        self._dispatcher = self._make_dispatcher(self._device)
        self._pool = LanePool("emberd-tokeniser", _tokenisers(self._device))
        self._residents = Residents(
            self._open,
            self._admit,
            self._dismiss,
            self._log,
        )
        self._pool.start()
        self._dispatcher.start()
        self._is_started = True
        self._log.emit(
            "engine.started",
            self._device.note,
            level="warning" if self._device.note else "info",
            device=self._device.name,
            provider=self._device.provider,
        )

    async def close(self, *, drain_s: float = 0.0) -> None:
        """Take no more texts, finish the open ones for up to `drain_s`, refuse the rest."""
        if not self._is_started or self._is_closing:
            return
        self._is_closing = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ledger.wait_empty(), drain_s)
        await asyncio.to_thread(self._dispatcher.post, Closing())
        self._pool.close()
        self._dispatcher.stop()
        self._ledger.settle_all(_shutting_down)
        for count in self._counts:
            count.cancel()
        if await asyncio.to_thread(self._join):  # else a model still runs: leave it its session
            await self._residents.close()

    async def load(self, model: StoredModel) -> None:
        """Make a model ready; one that is loaded already costs nothing.

        Raises ModelLoadFailedError, ShuttingDownError.
        """
        if self._is_closing:
            raise _shutting_down()
        await self._residents.load(model)

    async def unload(self, fingerprint: str) -> None:
        """Let go of a model; texts that wait for it fail with CancelledRequestError."""
        await self._residents.unload(fingerprint)
        self._misfits.pop(fingerprint, None)

    def submit(
        self,
        fingerprint: str,
        texts: Sequence[str],
        *,
        truncate: Truncate = "end",
        priority: Priority = "interactive",
    ) -> list[asyncio.Future[Embedded]]:
        """Queue texts; returns one future each, in order. A future that is cancelled drops its
        text, unless it is in a batch already.

        Raises OverloadedError (with `retry_after_ms`), ModelNotFoundError, ShuttingDownError for
        all of them. A future fails for its own text alone: TextTooLongError, InvalidParamsError
        (no Unicode), EmbeddingFailedError, CancelledRequestError (model unloaded),
        ShuttingDownError.
        """
        if self._is_closing:
            raise _shutting_down()
        backend = self._residents.get(fingerprint)
        self._check_room(len(texts))
        request = Request(fingerprint, truncate, priority, time.monotonic())
        opened, futures = self._ledger.open(request, texts)
        for run in slices(opened, lambda text: min(len(text.content), backend.part_chars)):
            job = partial(self._tokenise, backend, request, run)
            self._pool.put(job, bulk=priority == "bulk")
        return futures

    async def count_tokens(self, fingerprint: str, texts: Sequence[str]) -> list[int]:
        """Tokens of each whole text, special tokens included.

        Raises ModelNotFoundError, InvalidParamsError (`details.index` names the text),
        ShuttingDownError.
        """
        if self._is_closing:
            raise _shutting_down()
        backend = self._residents.get(fingerprint)
        runs = list(slices(texts, len))
        found = await asyncio.gather(
            *[self._count(partial(backend.count, run), is_small=len(runs) == 1) for run in runs]
        )
        counts: list[int] = []
        for index, count in enumerate(count for run in found for count in run):
            if isinstance(count, EmberdError):
                count.details["index"] = index
                raise count
            counts.append(count)
        return counts

    def tell_batches(self, on_batch: OnBatch) -> None:
        """Call `on_batch` for every batch that ends from now on, on any thread; it must not
        block."""
        self._dispatcher.meter.on_batch = on_batch

    @property
    def device(self) -> Device:
        """What it runs on; after `start`."""
        return self._device

    def stats(self) -> EngineStats:
        """The engine's part of the snapshot; rates and shares are of the time since the last."""
        if not self._is_started:
            return EngineStats()
        budgets = [self._dispatcher.budget(name) for name in self._residents.fingerprints()]
        return engine_stats(
            self._device,
            self._dispatcher,
            open_texts=len(self._ledger),
            queue_limit=self._settings.queue_texts,
            budget=max(budgets, default=self._device.batch_tokens),
        )

    def problems(self) -> list[str]:
        """What is wrong at present, each with what to do; empty when all is well."""
        if not self._is_started:
            return []
        found = engine_problems(self._device, self._dispatcher) + list(self._misfits.values())
        if self._defect:
            found.append(f"The scheduler failed ({self._defect}). Restart the daemon.")
        return found

    @property
    def is_healthy(self) -> bool:
        return not self.problems()

    # from worker threads to the loop (the dispatcher's Listener)

    def settle(self, outcomes: list[tuple[Text, Outcome]]) -> None:
        """One wake-up of the loop a batch, not one a text."""
        if outcomes:
            self._soon(self._ledger.settle, outcomes)

    def model_closed(self, model: str) -> None:
        self._soon(self._residents.left, model)

    def scheduler_failed(self, error: Exception) -> None:
        """A defect of ours: fail what is open rather than let it wait for ever."""
        self._defect = f"{type(error).__name__}: {error}"
        self._log.emit("engine.scheduler_failed", self._defect, level="error")
        self._soon(self._ledger.settle_all, _defective)

    def _soon(self, callback: Callable[..., None], *args: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits there
            self._loop.call_soon_threadsafe(callback, *args)

    # from the loop to worker threads

    def _post(self, event: Event) -> None:
        self._pool.put(partial(self._dispatcher.post, event))

    def _abandon(self, texts: list[Text]) -> None:
        self._post(TextsAbandoned(texts))

    async def _admit(self, fingerprint: str, backend: EmbedderBackend) -> None:
        self._dispatcher.backends[fingerprint] = backend
        budget = backend.batch_tokens or self._device.batch_tokens
        event = ModelLoaded(fingerprint, budget, backend.equal_only)
        await asyncio.to_thread(self._dispatcher.post, event)

    async def _dismiss(self, fingerprint: str) -> None:
        await asyncio.to_thread(self._dispatcher.post, ModelUnloaded(fingerprint))

    async def _count(
        self, count: Callable[[], list[int | EmberdError]], *, is_small: bool
    ) -> list[int | EmberdError]:
        future: asyncio.Future[list[int | EmberdError]] = self._loop.create_future()
        self._counts.add(future)
        self._pool.put(partial(self._run_count, count, future), bulk=not is_small)
        try:
            return await future
        except asyncio.CancelledError:
            if self._is_closing:
                raise _shutting_down() from None
            raise
        finally:
            self._counts.discard(future)

    # on worker threads

    def _open(self, model: StoredModel) -> EmbedderBackend:
        device = self._device
        if device.kind == "cpu":
            return self._open_backend(model, device)
        gone = partial(self._gpu_failed, model)
        return GuardedBackend(model, device, self._open_backend, gone)

    def _gpu_failed(self, model: StoredModel, instead: Device) -> None:
        """A model has gone on to the CPU. Others may run on the GPU well: then it is no loss."""
        fingerprint = model.info.fingerprint
        if choose_device(self._settings).kind == "cuda":
            self._misfits[fingerprint] = f"{model.info.name}: {instead.note}"
        else:
            self._device = instead
        self._dispatcher.post(BudgetLowered(fingerprint, instead.batch_tokens))
        self._log.emit(
            "engine.gpu_failed",
            f"{model.info.name}: {instead.note}",
            level="error",
            fingerprint=fingerprint,
        )

    def _tokenise(self, backend: EmbedderBackend, request: Request, texts: list[Text]) -> None:
        started = time.monotonic()
        try:
            wanted = [text for text in texts if text.future is not None]
            encoded, refused = encode_texts(backend, request, wanted)
            now = time.monotonic()
            request.tokenised_s = request.tokenised_s or now
            for text in encoded:
                text.queued_s = now
            self.settle(list(refused))
            self._dispatcher.post(TextsQueued(encoded, now - started))
        except BaseException:
            self.settle([(text, _defective()) for text in texts])
            raise

    def _run_count(
        self,
        count: Callable[[], list[int | EmberdError]],
        future: asyncio.Future[list[int | EmberdError]],
    ) -> None:
        try:
            self._soon(_answer, future, count())
        except Exception as exc:
            self._soon(_fail, future, exc)
            raise

    def _join(self) -> bool:
        return self._dispatcher.join(_JOIN_S) and self._pool.join(_JOIN_S)

    # small parts

    def _make_dispatcher(self, device: Device) -> Dispatcher:
        is_cpu = device.kind == "cpu"
        is_fitted = is_cpu and not self._settings.batch_tokens
        return Dispatcher(
            Scheduler(
                PlanRules() if is_cpu else _GPU_RULES,
                target_s=_CPU_BATCH_S if is_fitted else 0.0,
                parallel=is_cpu,
            ),
            self,
            self._log,
            callers=device.callers,
            is_background=self._settings.background_priority,
        )

    def _check_room(self, count: int) -> None:
        waiting, limit = len(self._ledger), self._settings.queue_texts
        if waiting + count <= limit:
            return
        raise OverloadedError(
            f"{waiting} texts wait and at most {limit} may, so {count} more do not fit. Try again "
            "in a while, or send fewer at once.",
            retry_after_ms=self._retry_after_ms(),
            details={"waiting": waiting, "limit": limit},
        )

    def _retry_after_ms(self) -> int:
        """About when half of what waits is done."""
        tokens_per_s = self._dispatcher.meter.tokens_per_s() * self._device.callers
        tokens = self._dispatcher.gauges.waiting_tokens
        wait_ms = 500 * tokens / tokens_per_s if tokens_per_s else 1_000
        return int(min(max(wait_ms, 50), 30_000))


def _tokenisers(device: Device) -> int:
    """Threads that tokenise: about 10,000 natural texts/s each, and beside a GPU the cores have
    little else to do."""
    return max(2, min(usable_cores(), 4 if device.kind == "cpu" else 16))


def _answer(
    future: asyncio.Future[list[int | EmberdError]], found: list[int | EmberdError]
) -> None:
    if not future.done():
        future.set_result(found)


def _fail(future: asyncio.Future[list[int | EmberdError]], exc: Exception) -> None:
    if not future.done():
        future.set_exception(InternalError(f"Tokens could not be counted: {exc}."))


def _shutting_down() -> EmberdError:
    return ShuttingDownError("The daemon is shutting down. Send the texts again once it runs.")


def _defective() -> EmberdError:
    return InternalError("The engine failed on this text; the daemon's log says how.")
