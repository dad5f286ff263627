"""A run of `emberd index`: what has changed is read, cut and written; what is gone is removed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from typing import Final

from emberd.client import Client, CollectionInfo
from emberd.errors import CollectionModelMismatchError, CollectionNotFoundError
from emberd.ingest.chunks import Recipe
from emberd.ingest.ignore import Selection
from emberd.ingest.in_order import in_order
from emberd.ingest.known import KnownFile, files_gone, known_files
from emberd.ingest.preparing import Preparer
from emberd.ingest.report import Failure, IndexOptions, Phase, Progress, Summary
from emberd.ingest.walk import FoundFile, Source, Walked, sources_of, walk
from emberd.ingest.writing import Writer, Written, batches

__all__ = ["OnProgress", "check_request", "index_files"]

OnProgress = Callable[[Progress], object]

_READERS: Final = 10
_READ_AHEAD: Final = 40
_WRITERS: Final = 6  # with the readers' own, well below the requests that a connection may have
_SCAN_PAGE: Final = 256


def check_request(paths: Iterable[str | os.PathLike[str]], options: IndexOptions) -> None:
    """Raises what `index_files` would say of its arguments, before anything is asked."""
    Selection.of(options.globs, options.excludes)
    sources_of(paths)


def index_files(
    client: Client,
    collection: str,
    paths: Iterable[str | os.PathLike[str]],
    options: IndexOptions | None = None,
    *,
    on_progress: OnProgress | None = None,
) -> Summary:
    """Bring a collection up to date with the files below `paths`.

    Files with the bytes that they had are skipped; chunks of files that are gone are removed. A
    file that fails is reported and the others go on. Whatever ends a run early, what was written
    stays, and the next run goes on from there. Raises StorageError for a path that is not there,
    and what the client raises.
    """
    run = _Run(client, collection, options or IndexOptions(), on_progress)
    return run.go([os.fspath(path) for path in paths])


class _Run:
    def __init__(
        self,
        client: Client,
        collection: str,
        options: IndexOptions,
        on_progress: OnProgress | None,
    ) -> None:
        self._client = client
        self._collection = collection
        self._options = options
        self._on_progress = on_progress
        self._started = time.monotonic()
        self._files_done = self._files_total = 0
        self._summary = Summary(collection=collection, is_dry_run=options.dry_run)
        self._writer = Writer(client, collection, is_dry_run=options.dry_run)

    def go(self, paths: Sequence[str]) -> Summary:
        options, summary = self._options, self._summary
        selection = Selection.of(options.globs, options.excludes)
        sources = sources_of(paths)
        self._tell("looking")
        walked = walk(sources, selection, max_bytes=options.max_bytes)
        summary.skipped.update(walked.skipped)
        summary.failures.extend(walked.failures)
        preparer = self._preparer()
        self._index(walked.files, preparer)
        self._remove_gone(preparer.known, walked, sources, selection)
        summary.elapsed_s = self._elapsed_s()
        return summary

    def _preparer(self) -> Preparer:
        info = self._info()
        wanted = self._options.model or (info.model if info else self._client.hello().default_model)
        model = self._client.models_load(wanted)
        if info is not None and info.fingerprint != model.get("fingerprint"):
            raise _other_model(info, str(model["name"]))
        self._summary.model = str(model["name"])
        max_tokens = int(model.get("max_tokens", 0))
        recipe = Recipe.within(max_tokens, self._options.chunk_tokens)
        return Preparer(self._known() if info else {}, recipe, self._count_tokens)

    def _info(self) -> CollectionInfo | None:
        """The collection, made where it is not there; a dry run gets None then."""
        name, model = self._collection, self._options.model
        try:
            return self._client.collections_info(name)
        except CollectionNotFoundError:
            if self._options.dry_run:
                return None
            return self._client.collections_create(name, model=model, exist_ok=True)

    def _known(self) -> dict[str, KnownFile]:
        documents = self._client.scan(
            self._collection, include=["metadata"], page=_SCAN_PAGE, timeout_s=None
        )
        return known_files(documents)

    def _count_tokens(self, texts: list[str]) -> list[int]:
        return self._client.count_tokens(texts, model=self._summary.model, timeout_s=None)

    def _index(self, files: Sequence[FoundFile], preparer: Preparer) -> None:
        self._files_total = len(files)
        self._tell("indexing")
        prepared = in_order(
            preparer.prepare, files, threads=_READERS, ahead=_READ_AHEAD, name="read"
        )
        written = in_order(
            self._writer.write, batches(prepared), threads=_WRITERS, ahead=_WRITERS, name="write"
        )
        # Closed, so that Ctrl-C ends the threads now, and not when the traceback goes.
        with closing(prepared), closing(written):
            for part in written:
                self._count(part)
                self._tell("indexing")

    def _count(self, part: Written) -> None:
        summary = self._summary
        for outcome in part.outcomes:
            if outcome.failure:
                summary.failures.append(Failure(outcome.file.absolute, outcome.failure))
            elif change := outcome.change:
                summary.counts[change] += 1
            if outcome.skip_reason:
                summary.skipped[outcome.skip_reason] += 1
            summary.read_bytes += outcome.size_bytes
        summary.chunks += part.chunks
        summary.removed_chunks += part.removed_chunks
        summary.hits.update(part.hits)
        summary.computed += part.computed
        self._files_done += len(part.outcomes)

    def _remove_gone(
        self,
        known: Mapping[str, KnownFile],
        walked: Walked,
        sources: Sequence[Source],
        selection: Selection,
    ) -> None:
        gone = files_gone(known, walked, sources, selection)
        if not gone:
            return
        if not walked.files:
            self._summary.kept = len(gone)  # more likely a disk that is not there than a wish
            return
        self._tell("removing")
        ids = [name for entry in gone for name in entry.stale_ids()]
        self._writer.remove(ids)
        self._summary.removed_chunks += len(ids)
        self._summary.counts["removed"] += len(gone)

    def _tell(self, phase: Phase) -> None:
        if self._on_progress is not None:
            summary = self._summary
            progress = Progress(
                phase=phase,
                files=self._files_done,
                files_total=self._files_total,
                chunks=summary.chunks,
                hits=summary.hits.total(),
                elapsed_s=self._elapsed_s(),
            )
            self._on_progress(progress)

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._started


def _other_model(info: CollectionInfo, model: str) -> CollectionModelMismatchError:
    return CollectionModelMismatchError(
        f"{info.name} holds vectors of another model ({info.model}, fingerprint "
        f"{info.fingerprint[:8]}) than {model} of now. Index into a new collection.",
        details={"collection": info.name, "model": info.model},
    )
