"""Embedding a stream of texts: chunks kept in flight, results in order, totals for the summary."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from emberd.cli.printing import duration, percent, plural

if TYPE_CHECKING:
    from emberd.client import EmbedResult

__all__ = ["CHUNK_CHARS", "CHUNK_TEXTS", "Totals", "embed_stream"]

# Some 4,000 texts wait at the daemon, enough for batches of equal length, and each answered chunk
# moves the progress line; we hold these chunks and no more, whatever the size of the input.
CHUNK_TEXTS = 512
CHUNK_CHARS = 2 << 20
_IN_FLIGHT = 8

Embed = Callable[[list[str]], "EmbedResult"]


def embed_stream(
    embed: Embed, chunks: Iterable[list[str]]
) -> Iterator[tuple[list[str], EmbedResult]]:
    """`(texts, result)` of each chunk in order, with several chunks under way at a time."""
    waiting: deque[tuple[list[str], Future[EmbedResult]]] = deque()
    pool = ThreadPoolExecutor(_IN_FLIGHT, thread_name_prefix="embed")
    try:
        for chunk in chunks:
            waiting.append((chunk, pool.submit(embed, chunk)))
            if len(waiting) >= _IN_FLIGHT:
                texts, result = waiting.popleft()
                yield texts, result.result()
        while waiting:
            texts, result = waiting.popleft()
            yield texts, result.result()
    finally:
        # Not waited for: after Ctrl-C the client is closed next, which ends them.
        pool.shutdown(wait=False, cancel_futures=True)


@dataclass
class Totals:
    """What a run did, added up chunk by chunk."""

    texts: int = 0
    tokens: int = 0
    computed: int = 0
    deduplicated: int = 0
    truncated: int = 0
    hits: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, Any]] = field(default_factory=list)
    """`{index, code, message, ...}` with the index in the whole input."""
    started: float = field(default_factory=time.monotonic)

    def add(self, count: int, result: EmbedResult) -> None:
        """Count a chunk of `count` texts."""
        for error in result.errors:
            self.failures.append({**error, "index": self.texts + int(error["index"])})
        self.texts += count
        self.tokens += result.tokens
        self.computed += result.computed
        self.deduplicated += result.deduplicated
        self.truncated += len(result.truncated)
        self.hits.update(result.hits)

    @property
    def hit_ratio(self) -> float:
        return self.hits.total() / self.texts if self.texts else 0.0

    def rate(self, elapsed_s: float) -> float:
        """Texts a second."""
        return self.texts / elapsed_s if elapsed_s > 0 else 0.0

    def progress(self, elapsed_s: float) -> str:
        """The moving part of the progress line."""
        rate = self.rate(elapsed_s)
        return f"{self.texts:,} texts  {rate:,.0f}/s  {percent(self.hit_ratio)} from cache"

    def summary(self, elapsed_s: float) -> str:
        """One line for the end."""
        parts = [f"{count:,} from {tier}" for tier, count in self.hits.items() if count]
        parts += [
            f"{count:,} {what}"
            for count, what in (
                (self.computed, "computed"),
                (self.deduplicated, "repeated"),
                (self.truncated, "truncated"),
                (len(self.failures), "failed"),
            )
            if count
        ]
        rate = f"{self.rate(elapsed_s):,.0f}/s"
        head = f"{plural(self.texts, 'text')} in {duration(elapsed_s)} ({rate})"
        return f"{head}: {', '.join(parts)}" if parts else head
