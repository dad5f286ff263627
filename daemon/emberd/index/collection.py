"""One collection: what can be asked of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection as Some
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from emberd.errors import CollectionModelMismatchError, GraphLostError, InvalidParamsError
from emberd.index.documents import (
    CheckReport,
    Document,
    Hit,
    Part,
    UpsertResult,
    check_include,
)
from emberd.index.filters import Everything, compile_filter, parse_filter
from emberd.index.names import check_ids
from emberd.index.reading import damaged_documents, documents_of, page_of
from emberd.index.residence import Opened, Residence
from emberd.index.search.request import SearchRequest, make_request
from emberd.index.search.results import ResultCache
from emberd.index.store.batch import prepare_batch
from emberd.index.store.checking import Checked
from emberd.telemetry.histogram import Histogram
from emberd.wire.snapshot import CollectionStats, Latency

__all__ = ["Collection"]

_HIT_BYTES = 300
# Numbers that are checked, or made a key, in about the time that a thread takes to begin.
_SMALL_REQUEST = 65_536
# Hits of one result that is kept: more would seldom fit, and are not counted in an instant.
_MOST_HITS = 10_000


class Collection:
    """Owned by the event loop; everything that takes time runs on threads."""

    def __init__(self, residence: Residence, result_bytes: int) -> None:
        self.residence = residence
        self.manifest = residence.manifest
        self._results = ResultCache[list[list[Hit]]](result_bytes)
        self._latency = Histogram()
        self._queries = self._cached = self._upserted = self._removed = 0

    def check_fingerprint(self, fingerprint: str | None) -> None:
        """Raises CollectionModelMismatchError for vectors of another model."""
        if fingerprint is not None and fingerprint != self.manifest.fingerprint:
            raise CollectionModelMismatchError(
                f"The collection {self.manifest.name!r} holds vectors of {self.manifest.model} "
                f"({self.manifest.fingerprint}), and these are of another model ({fingerprint}). "
                "Use that model, or build a new collection.",
                details={"model": self.manifest.model, "fingerprint": self.manifest.fingerprint},
            )

    async def upsert(
        self,
        ids: Sequence[str],
        vectors: NDArray[Any],
        texts: Sequence[str | None] | None,
        metadata: Sequence[Mapping[str, Any] | None] | None,
    ) -> UpsertResult:
        """Put documents in or in the place of others; returns when they are on the disk."""

        async def work(opened: Opened) -> UpsertResult:
            store = opened.store
            batch = await asyncio.to_thread(
                prepare_batch, store.layout, ids, vectors, texts, metadata
            )
            done = await store.write(lambda transaction: transaction.upsert(batch))
            return UpsertResult(done.inserted, done.updated, done.unchanged, store.view.version)

        result = await self.residence.use(work)
        self._upserted += result.inserted + result.updated
        return result

    async def delete(self, ids: Sequence[str] | None, where: Mapping[str, Any] | None) -> int:
        """Take out documents by id or by a filter; returns how many there were."""
        if (ids is None) == (where is None):
            raise InvalidParamsError("Name the documents by ids or by where, one of the two.")
        names = check_ids(ids or [])
        statement = compile_filter(parse_filter(where)) if where is not None else None

        async def work(opened: Opened) -> int:
            return await opened.store.write(
                lambda transaction: (
                    transaction.delete_where(statement)
                    if statement is not None
                    else transaction.delete_ids(names)
                )
            )

        count = await self.residence.use(work)
        self._removed += count
        return count

    async def get(self, ids: Sequence[str], include: Some[str]) -> list[Document | None]:
        """The documents of these ids, None where there is none."""
        names, parts = check_ids(ids), check_include(include)

        async def work(opened: Opened) -> list[Document | None]:
            async with opened.store.readers.lease() as lease:
                return await lease.finish(documents_of, names, parts)

        return await self.residence.use(work)

    async def scan(
        self, where: Mapping[str, Any] | None, limit: int, cursor: str | None, include: Some[str]
    ) -> tuple[list[Document], str | None]:
        """Documents in the order of their last change, and where to go on (None at the end)."""
        if limit < 1:
            raise InvalidParamsError("limit must be at least 1.", details={"field": "limit"})
        parts = check_include(include)
        node = None if where is None else parse_filter(where)
        if isinstance(node, Everything):
            node = None
        after = _label_of(cursor)

        async def work(opened: Opened) -> tuple[list[Document], str | None]:
            async with opened.store.readers.lease() as lease:
                return await lease.finish(page_of, node, limit, after, parts)

        return await self.residence.use(work)

    async def search(self, vectors: NDArray[Any], k: int, **options: Any) -> list[list[Hit]]:
        """The k best documents for each query; see `make_request` for the options."""
        started = time.perf_counter()
        if isinstance(vectors, np.ndarray) and vectors.size <= _SMALL_REQUEST:
            request = make_request(vectors, self.manifest.dim, k, **options)
        else:
            request = await asyncio.to_thread(
                make_request, vectors, self.manifest.dim, k, **options
            )

        async def work(opened: Opened) -> list[list[Hit]]:
            return await self._search(opened, request)

        hits = await self.residence.use(work)
        self._queries += len(request.queries)
        self._latency.record(time.perf_counter() - started)
        return hits

    async def rebuild(self) -> None:
        """Rewrite the vectors' file and build the graph anew; searches go on meanwhile."""

        async def work(opened: Opened) -> None:
            await opened.feeder.rebuild()

        await self.residence.use(work)

    async def check(self) -> CheckReport:
        """Read and verify everything, mend what can be mended, and say both."""
        return await self.residence.use(self._check)

    async def damaged(self) -> list[Document]:
        """Documents whose vector must be computed again, with their texts."""

        async def work(opened: Opened) -> list[Document]:
            async with opened.store.readers.lease() as lease:
                return await lease.finish(damaged_documents)

        return await self.residence.use(work)

    async def mend(self, documents: Sequence[Document], vectors: NDArray[Any]) -> int:
        """Give damaged documents new vectors; those that changed meanwhile are left alone."""

        async def work(opened: Opened) -> int:
            store = opened.store
            batch = await asyncio.to_thread(
                prepare_batch,
                store.layout,
                [each.id for each in documents],
                vectors,
                [each.text for each in documents],
                [each.metadata for each in documents],
            )
            labels = {each.id: each.label for each in documents}
            return await store.write(lambda transaction: transaction.mend(batch, labels))

        return await self.residence.use(work)

    async def ready(self) -> None:
        """Open it."""

        async def work(opened: Opened) -> None:
            del opened

        await self.residence.use(work)

    def stats(self, size_bytes: int, *, take_latency: bool = True) -> CollectionStats:
        """Its figures; with `take_latency` the latency's window starts anew."""
        opened = self.residence.current
        common = CollectionStats(
            name=self.manifest.name,
            model=self.manifest.model,
            dim=self.manifest.dim,
            state="loading" if self.residence.is_opening else "closed",
            size_bytes=size_bytes,
            queries=self._queries,
            cached=self._cached,
            upserted=self._upserted,
            removed=self._removed,
            latency=self._latency.take() if take_latency else Latency(),
        )
        return common if opened is None else _with_figures(common, opened)

    async def _search(self, opened: Opened, request: SearchRequest) -> list[list[Hit]]:
        if request.queries.size > _SMALL_REQUEST:
            return (await opened.searcher.search(request))[1]
        key = request.key()
        known = self._results.get(opened.store.view.version, key)
        if known is not None:
            self._cached += len(request.queries)
            return known
        version, hits = await opened.searcher.search(request)
        if sum(map(len, hits)) <= _MOST_HITS:
            self._results.put(version, key, hits, _size_of(hits, request.include))
        return hits

    async def _check(self, opened: Opened) -> CheckReport:
        found = await opened.store.structure_problems()
        mended: list[str] = []
        if found:
            mended += await self.residence.reopen(opened)
            opened = self.residence.current or opened
        checked = await opened.store.check()
        await _audit(opened, checked)
        async with opened.store.readers.lease() as lease:
            damaged = await lease.finish(damaged_documents)
        view = opened.store.view
        return CheckReport(
            name=self.manifest.name,
            documents=view.count,
            vectors=view.live,
            indexed=opened.feeder.indexed,
            found=found + checked.found,
            mended=mended + checked.mended,
            damaged_ids=[each.id for each in damaged],
        )


async def _audit(opened: Opened, checked: Checked) -> None:
    try:
        lacking = await opened.feeder.audit()
    except GraphLostError:
        checked.found.append("the graph is lost; searches are exact until it is back")
        return
    if lacking:
        checked.found.append(f"the graph lacked {lacking} documents")
        checked.mended.append("they were added to the graph")


def _size_of(hits: list[list[Hit]], include: frozenset[Part]) -> int:
    """About how much memory a result takes."""
    count = sum(map(len, hits))
    if not include:
        return _HIT_BYTES * (count + 1)
    texts = sum(len(hit.text or "") + len(hit.snippet or "") for each in hits for hit in each)
    vectors = sum(hit.vector.nbytes for each in hits for hit in each if hit.vector is not None)
    maps = 5 * _HIT_BYTES * count if "metadata" in include else 0
    return _HIT_BYTES * (count + 1) + texts + vectors + maps


def _label_of(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if cursor.isascii() and cursor.isdigit() and len(cursor) < 19:
        return int(cursor)
    raise InvalidParamsError(
        f"{cursor!r} is no cursor: pass the one of the page before.", details={"field": "cursor"}
    )


def _with_figures(common: CollectionStats, opened: Opened) -> CollectionStats:
    view, feeder = opened.store.view, opened.feeder
    figures, damaged = feeder.figures, view.count - view.live
    message = feeder.message
    if damaged:
        message = f"{damaged} documents wait for new vectors"
    is_degraded = bool(message) or feeder.state == "restarting"
    return msgspec.structs.replace(
        common,
        state="rebuilding" if feeder.is_rebuilding else "degraded" if is_degraded else "ready",
        message=message,
        version=view.version,
        count=view.count,
        deleted=view.dead,
        damaged=damaged,
        memory_bytes=view.names_bytes + (figures.memory_bytes if figures else 0),
        graph=feeder.state,
        indexed=feeder.indexed,
        restarts=figures.restarts if figures else 0,
        rebuild_ratio=feeder.rebuild_ratio,
        checkpoint_age_s=(figures.checkpoint_age_s or 0.0) if figures else 0.0,
        recall=feeder.recall,
        ef=feeder.ef or 0,
    )
