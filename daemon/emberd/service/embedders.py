"""A plugin's embedder as the service sees it: texts in, futures out, like the engine.

The calls run on the event loop of the plugin's own (`embedder_calls.py`); here is the queue before
them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from emberd.engine import Embedded
from emberd.engine.ledger import Ledger
from emberd.engine.meter import OnBatch
from emberd.engine.text import Outcome, Priority, Request, Text, Truncate
from emberd.errors import (
    EmberdError,
    InternalError,
    OverloadedError,
    ShuttingDownError,
    UpstreamUnavailableError,
)
from emberd.plugins.contracts import Embedder
from emberd.plugins.plugged import Plugged
from emberd.service.embedder_calls import CALL_S, EmbedderCalls
from emberd.service.embedder_queue import TextQueue

__all__ = ["EmbedderDriver"]

_RETRY_AFTER_MS = 1_000


class EmbedderDriver:
    """Queue and calls of one embedder. Event loop only, except for what says otherwise."""

    def __init__(
        self,
        plugged: Plugged[Embedder],
        queue_texts: int,
        *,
        call_s: float = CALL_S,
        on_batch: OnBatch | None = None,
    ) -> None:
        """Raises PluginFailedError for an embedder without an event loop or sensible limits."""
        self.calls = EmbedderCalls(plugged, call_s)
        self.plugin = plugged.plugin
        self.guard = plugged.guard
        self._queue_texts = queue_texts
        self.on_batch = on_batch
        self._ledger = Ledger(self._abandoned)
        self._queue = TextQueue()
        self._running: dict[asyncio.Task[None], list[Text]] = {}
        self._will_start = self._is_closing = False

    def check(self) -> None:
        """Raises UpstreamUnavailableError where the plugin is tripped or disabled,
        ShuttingDownError where the daemon ends."""
        if self._is_closing:
            raise _shutting_down()
        if not self.guard.is_active:
            raise self._bypassed()

    def submit(
        self,
        model: str,
        texts: Sequence[str],
        *,
        truncate: Truncate = "end",
        priority: Priority = "interactive",
    ) -> list[asyncio.Future[Embedded]]:
        """Queue texts for a model that was offered; returns one future each, in order.

        A future that is cancelled drops its text, and the call under way when all of its texts
        are dropped. Raises OverloadedError and what `check` raises for all of them. A future
        fails with the error that the embedder answered for its text or for its batch:
        RateLimitedError, UpstreamUnavailableError, EmbeddingFailedError, TextTooLongError.
        """
        self.check()
        self._check_room(len(texts))
        request = Request(model, truncate, priority, time.monotonic())
        opened, futures = self._ledger.open(request, texts)
        self._queue.put(opened)
        self._start_soon()
        return futures

    async def close(self) -> None:
        """Refuse what waits and give up the calls under way; what was asked is all settled."""
        self._is_closing = True
        self._queue.drain()
        self._ledger.settle_all(_shutting_down)
        running = list(self._running)
        for call in running:
            call.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _check_room(self, count: int) -> None:
        waiting = len(self._ledger)
        if waiting + count > self._queue_texts:
            raise OverloadedError(
                f"{waiting} texts wait for the plugin {self.plugin!r} and at most "
                f"{self._queue_texts} may, so {count} more do not fit. Try again in a while, or "
                "send fewer at once.",
                retry_after_ms=_RETRY_AFTER_MS,
                details={"waiting": waiting, "limit": self._queue_texts},
            )

    def _start_soon(self) -> None:
        """In the next turn of the loop, so that texts which come together share a call."""
        if not self._will_start:
            self._will_start = True
            asyncio.get_running_loop().call_soon(self._start)

    def _start(self) -> None:
        self._will_start = False
        if self._is_closing:
            return
        if not self.guard.is_active:
            error = self._bypassed()
            self._ledger.settle([(text, error) for text in self._queue.drain()])
            return
        while texts := self._next():
            call = asyncio.create_task(self._call(texts))
            self._running[call] = texts
            call.add_done_callback(self._ended)

    def _next(self) -> list[Text]:
        calls = self.calls
        free = calls.concurrency - len(self._running)
        if free <= 0:
            return []
        # Bulk work leaves one call free, where there are several: a query then never waits.
        may_be_bulk = free > 1 or calls.concurrency == 1
        return self._queue.take(calls.batch_texts, may_be_bulk=may_be_bulk)

    def _ended(self, call: asyncio.Task[None]) -> None:
        texts = self._running.pop(call)
        if not call.cancelled() and (defect := call.exception()) is not None:
            error = InternalError(f"{type(defect).__name__}: {defect}. `emberd logs` has more.")
            self._ledger.settle([(text, error) for text in texts])
        self._start_soon()

    async def _call(self, texts: list[Text]) -> None:
        began, now = time.perf_counter(), time.monotonic()
        for request in {text.request for text in texts}:
            request.started_s = request.started_s or now
        contents = [text.content for text in texts]
        outcomes = await self.calls.embed(texts[0].request, contents)
        self._ledger.settle(zip(texts, outcomes, strict=True))
        self._tell(outcomes, time.perf_counter() - began)

    def _tell(self, outcomes: Sequence[Outcome], seconds: float) -> None:
        if self.on_batch is None:
            return
        good = [outcome.tokens for outcome in outcomes if isinstance(outcome, Embedded)]
        bad = [outcome.code for outcome in outcomes if isinstance(outcome, EmberdError)]
        self.on_batch(len(outcomes), sum(good), seconds, "" if good else bad[0])

    def _abandoned(self, texts: list[Text]) -> None:
        """Nobody waits for these any more."""
        self._queue.forget_abandoned()
        for call, called in self._running.items():
            if all(text.future is None for text in called):
                call.cancel()

    def _bypassed(self) -> UpstreamUnavailableError:
        return UpstreamUnavailableError(
            f"The plugin {self.plugin!r} has tripped or is disabled. "
            f"`emberd plugins info {self.plugin}` says why.",
            details={"plugin": self.plugin},
        )


def _shutting_down() -> EmberdError:
    return ShuttingDownError("The daemon is shutting down. Send the texts again once it runs.")
