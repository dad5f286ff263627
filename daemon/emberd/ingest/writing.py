"""Files on their way into a collection, several requests at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from emberd.client import Client
from emberd.errors import EmbeddingFailedError, InvalidParamsError, TextTooLongError
from emberd.ingest.preparing import Outcome

__all__ = ["Writer", "Written", "batches"]

_BATCH_CHUNKS: Final = 128  # the client's own request: one commit, one step of the progress
_DELETED_AT_ONCE: Final = 1_000
# What one text can cause: the other files of its request are not to suffer from it.
_OF_ONE_TEXT: Final = (EmbeddingFailedError, InvalidParamsError, TextTooLongError)


@dataclass(slots=True)
class Written:
    """Files that are in the collection now, and what that took."""

    outcomes: list[Outcome] = field(default_factory=list)
    chunks: int = 0
    removed_chunks: int = 0
    hits: Counter[str] = field(default_factory=Counter)
    computed: int = 0

    def add(self, other: Written) -> None:
        """Count another one in."""
        self.outcomes += other.outcomes
        self.chunks += other.chunks
        self.removed_chunks += other.removed_chunks
        self.hits.update(other.hits)
        self.computed += other.computed


def batches(outcomes: Iterable[Outcome]) -> Iterator[list[Outcome]]:
    """Whole files with about as many chunks as one request takes.

    Files that need no writing pass at once, alone, so that the progress moves.
    """
    batch: list[Outcome] = []
    chunks = 0
    for outcome in outcomes:
        if not outcome.must_write:
            yield [outcome]
            continue
        batch.append(outcome)
        chunks += len(outcome.chunks)
        if chunks >= _BATCH_CHUNKS:
            yield batch
            batch, chunks = [], 0
    if batch:
        yield batch


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes batches; called on several threads."""

    client: Client
    collection: str
    is_dry_run: bool = False

    def write(self, batch: list[Outcome]) -> Written:
        """Write a batch. A file whose text the daemon refuses comes back as failed; everything
        else that goes wrong is raised."""
        try:
            return self._write(batch)
        except _OF_ONE_TEXT as exc:
            if len(batch) == 1:
                return Written([replace(batch[0], chunks=(), failure=exc.message)])
        written = Written()
        for outcome in batch:
            written.add(self.write([outcome]))
        return written

    def _write(self, batch: list[Outcome]) -> Written:
        chunks = [chunk for outcome in batch for chunk in outcome.chunks]
        stale = [name for outcome in batch for name in outcome.stale_ids]
        written = Written(batch, len(chunks), len(stale))
        if self.is_dry_run:
            return written
        if chunks:
            result = self.client.upsert(
                self.collection,
                [chunk.id for chunk in chunks],
                [chunk.text for chunk in chunks],
                metadata=[chunk.metadata for chunk in chunks],
                create=False,
                timeout_s=None,  # it waits behind the others, for as long as the machine takes
            )
            written.hits.update(result.hits)
            written.computed = result.computed
        # Only now: until the new chunks are there, the old ones are what can be found.
        self.remove(stale)
        return written

    def remove(self, ids: list[str]) -> None:
        """Delete documents."""
        for start in range(0, len(ids), _DELETED_AT_ONCE):
            if not self.is_dry_run:
                part = ids[start : start + _DELETED_AT_ONCE]
                self.client.delete(self.collection, part, timeout_s=None)
