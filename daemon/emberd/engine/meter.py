"""The engine's figures: totals that only grow, and what a window of them says.

The dispatcher writes under its lock, the event loop only reads: a window is the difference of two
readings, so nothing is ever reset under the writer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from emberd.engine.text import Batch
from emberd.errors import EmbeddingFailedError
from emberd.telemetry import Histogram
from emberd.wire.snapshot import BatchStats

__all__ = ["Meter", "OnBatch", "Totals", "Window"]

OnBatch = Callable[[int, int, float, str], None]
"""`(texts, tokens, seconds, error)`; the error's code, or "" where there is none."""


@dataclass(slots=True)
class Totals:
    """Since the start. Seconds of `tokenise` and `compute` are of threads, of `queue` of texts."""

    batches: int = 0
    texts: int = 0
    tokens: int = 0
    padding: int = 0
    budgets: int = 0
    failed: int = 0
    restarts: int = 0
    tokenise_s: float = 0.0
    queue_s: float = 0.0
    compute_s: float = 0.0
    busy_s: float = 0.0

    def stages(self) -> dict[str, float]:
        """Seconds by stage, in the order that a text goes through them."""
        return {"tokenise": self.tokenise_s, "queue": self.queue_s, "compute": self.compute_s}


@dataclass(frozen=True, slots=True)
class Window:
    """What `Meter.window` says of the time since its last call."""

    batches: BatchStats
    busy_ratio: float
    stage_ms: dict[str, float]
    """Of a computed text, on average; empty where there was none."""


@dataclass(slots=True)
class Meter:
    """Counts batches as they start and end."""

    clock: Callable[[], float] = time.monotonic
    totals: Totals = field(default_factory=Totals)
    latency: Histogram = field(default_factory=Histogram)
    on_batch: OnBatch | None = None
    """Told of every batch that ends, on its caller's thread and under the dispatcher's lock: it
    must not block."""
    _since: dict[int, float] = field(default_factory=dict)
    _last: Totals = field(default_factory=Totals)
    _last_s: float = 0.0

    def __post_init__(self) -> None:
        self._last_s = self.clock()

    def started(self, caller: int, batch: Batch) -> None:
        now = self.clock()
        self._since[caller] = now
        self.totals.queue_s += sum([now - text.queued_s for text in batch.texts])
        for request in {text.request for text in batch.texts}:
            request.started_s = request.started_s or now

    def ended(self, caller: int, batch: Batch, *, failed: bool) -> None:
        seconds = self.clock() - self._since.pop(caller)
        totals = self.totals
        totals.busy_s += seconds
        if self.on_batch is not None:
            error = EmbeddingFailedError.code if failed else ""
            self.on_batch(len(batch.texts), batch.tokens, seconds, error)
        if failed:
            totals.failed += 1
            return
        totals.batches += 1
        totals.texts += len(batch.texts)
        totals.tokens += batch.tokens
        totals.padding += batch.padding
        totals.budgets += max(batch.budget, batch.cost)
        totals.compute_s += seconds
        self.latency.record(seconds)

    def longest_run_s(self) -> float:
        """How long the oldest batch on the device has been there; 0 when there is none."""
        since = list(self._since.values())  # one step, so safe beside the writer
        return self.clock() - min(since) if since else 0.0

    def tokens_per_s(self) -> float:
        """Of one caller, over everything so far; 0 before the first batch."""
        return self.totals.tokens / self.totals.compute_s if self.totals.compute_s else 0.0

    def window(self, callers: int) -> Window:
        """The figures since the last call."""
        now = self.clock()
        seconds = max(now - self._last_s, 1e-9)
        running_s = sum(now - since for since in list(self._since.values()))
        current = replace(self.totals)
        # Counted as if what runs had ended now: the next reading takes the same view.
        current.busy_s += running_s
        last, self._last, self._last_s = self._last, current, now
        return Window(
            self._batches(current, last, seconds),
            busy_ratio=_share(current.busy_s - last.busy_s, callers * seconds),
            stage_ms=_means_ms(current, last),
        )

    def _batches(self, current: Totals, last: Totals, seconds: float) -> BatchStats:
        tokens = current.tokens - last.tokens
        padding = current.padding - last.padding
        return BatchStats(
            total=current.batches,
            texts=current.texts,
            tokens=current.tokens,
            padded_tokens=current.padding,
            failed=current.failed,
            per_s=(current.batches - last.batches) / seconds,
            tokens_per_s=tokens / seconds,
            fill_ratio=_share(tokens, current.budgets - last.budgets),
            padding_ratio=_share(padding, tokens + padding),
            latency=self.latency.take(),
        )


def _means_ms(current: Totals, last: Totals) -> dict[str, float]:
    texts, before = current.texts - last.texts, last.stages()
    if texts <= 0:
        return {}
    return {name: (s - before[name]) / texts * 1e3 for name, s in current.stages().items()}


def _share(part: float, whole: float) -> float:
    return min(1.0, max(0.0, part / whole)) if whole > 0 else 0.0
