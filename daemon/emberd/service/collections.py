"""Collections: the index below, the embedding beside it, and how both look from outside."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from emberd.config import LimitSettings
from emberd.errors import (
    CollectionExistsError,
    CollectionModelMismatchError,
    CollectionNotFoundError,
    EmberdError,
    InvalidParamsError,
)
from emberd.index import Collections, Document, Hit
from emberd.index.manifest import Manifest
from emberd.service import params as p
from emberd.service.callers import Caller
from emberd.service.embedding import EmbeddingService
from emberd.service.loaded_model import LoadedModel
from emberd.service.registry import ModelRegistry
from emberd.telemetry import EventLog
from emberd.wire.snapshot import IndexStats
from emberd.wire.vectors import decode_vectors, encode_vectors

__all__ = ["CollectionService"]

# Hits that are packed in about a millisecond; more leave the event loop to others.
_QUICK_HITS = 2_048


class CollectionService:
    """One method for each of the API. Owned by the event loop's thread."""

    def __init__(
        self,
        collections: Collections,
        embedding: EmbeddingService,
        registry: ModelRegistry,
        limits: LimitSettings,
        events: EventLog,
    ) -> None:
        self._collections = collections
        self._embedding = embedding
        self._registry = registry
        self._limits = limits
        self._events = events
        self._mending: dict[str, asyncio.Task[int]] = {}
        self._rebuilding: dict[str, asyncio.Task[None]] = {}
        self._turns: dict[tuple[int, str], asyncio.Future[None]] = {}

    def stats(self) -> IndexStats:
        """The snapshot's part; documents that lost their vector begin to get a new one."""
        stats = self._collections.stats()
        for each in stats.collections:
            if each.damaged and each.name not in self._mending:
                self._mending[each.name] = asyncio.create_task(self._mend_quietly(each.name))
        return stats

    async def close(self) -> None:
        """Stop mending and rebuilding; what that was for is found again at the next start."""
        tasks = [*self._mending.values(), *self._rebuilding.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def create(self, params: p.CreateParams) -> dict[str, Any]:
        """Make a collection for a model's vectors."""
        model = await self._registry.ensure(params.model)
        try:
            await self._collections.create(
                params.name,
                model=model.info.name,
                fingerprint=model.fingerprint,
                dim=model.info.dim,
            )
        except CollectionExistsError:
            if not params.exist_ok:
                raise
        return await self._described(params.name)

    async def list(self) -> list[dict[str, Any]]:
        """Every collection, without opening any."""
        rows = [dataclasses.asdict(info) for info in await self._collections.list()]
        for row in rows:
            row["documents"] = row.pop("count")
        return rows

    async def info(self, params: p.CollectionParams) -> dict[str, Any]:
        """One collection; opens it, so that every figure is there."""
        return await self._described(params.name)

    async def drop(self, params: p.CollectionParams) -> dict[str, Any]:
        """Delete a collection with all its files."""
        await self._collections.drop(params.name)
        return {"dropped": params.name}

    async def rebuild(self, params: p.CollectionParams) -> dict[str, Any]:
        """Begin to build the graph anew, where that is not being done already."""
        name = params.name
        self._collections.manifest(name)  # there must be one
        if name in self._rebuilding:
            return {"started": False}
        task = self._rebuilding[name] = asyncio.create_task(self._rebuild_quietly(name))
        task.add_done_callback(lambda _: self._rebuilding.pop(name))
        return {"started": True}

    async def check(self, params: p.CollectionParams) -> dict[str, Any]:
        """Read everything, mend what can be mended; lost vectors are computed from their texts."""
        report = await self._collections.check(params.name)
        mended = list(report.mended)
        if report.damaged_ids and (count := await self._mend(params.name)):
            mended.append(f"{count} vectors were computed again from their texts")
        return {
            "ok": report.is_sound,
            "problems": report.found,
            "mended": mended,
            "documents": report.documents,
            "vectors": report.vectors,
            "indexed": report.indexed,
        }

    async def upsert(self, params: p.UpsertParams, caller: Caller) -> dict[str, Any]:
        """Write documents; they are on the disk when the answer goes out."""
        self._check_columns(params)
        with self._turn(caller, params.collection) as previous:
            vectors, hits, computed = await self._vectors_for(params, caller)
            if previous is not None:
                await asyncio.wait([previous])
            result = await self._collections.upsert(
                params.collection, params.ids, vectors, params.texts, params.metadata
            )
        return {
            "inserted": result.inserted,
            "updated": result.updated,
            "unchanged": result.unchanged,
            "version": result.version,
            "hits": hits,
            "computed": computed,
        }

    async def delete(self, params: p.DeleteParams) -> dict[str, Any]:
        """Delete documents by id or by filter."""
        if (params.ids is None) == (params.where is None):
            raise InvalidParamsError(
                "Give either `ids` or `where`; collections.drop deletes everything.",
                details={"field": "ids"},
            )
        deleted = await self._collections.delete(params.collection, params.ids, params.where)
        return {"deleted": deleted}

    async def get(self, params: p.GetParams) -> dict[str, Any]:
        """Documents by id, null for one that is not there."""
        found = await self._collections.get(params.collection, params.ids, params.include)
        return {
            "documents": [
                None if each is None else _document(each, params.include) for each in found
            ]
        }

    async def scan(self, params: p.ScanParams) -> dict[str, Any]:
        """A page of documents, in the order they were written."""
        found, next_cursor = await self._collections.scan(
            params.collection,
            where=params.where,
            limit=params.limit,
            cursor=params.cursor,
            include=params.include,
        )
        return {
            "documents": [_document(each, params.include) for each in found],
            "next_cursor": next_cursor,
        }

    async def search(self, params: p.SearchParams, caller: Caller) -> msgspec.Raw:
        """The nearest documents of each query."""
        info = self._collections.manifest(params.collection)
        queries = [params.queries] if isinstance(params.queries, str) else params.queries
        if (queries is None) == (params.vectors is None):
            raise InvalidParamsError(
                "Give either `queries` (texts) or `vectors`.", details={"field": "queries"}
            )
        if queries is None:
            vectors = self._given_vectors(params.vectors, info)
        else:
            model = await self._model_of(info)
            request = p.EmbedParams(
                [],
                model.info.name,
                prompt=params.prompt,
                deadline_ms=params.deadline_ms,
                priority="interactive",
            )
            vectors, _ = await self._embedding.vectors(queries, "queries", request, caller)
        results = await self._collections.search(
            params.collection,
            vectors,
            params.k,
            where=params.where,
            query_texts=queries,
            hybrid=params.hybrid,
            min_score=params.min_score,
            include=params.include,
            explain=params.explain,
        )
        pack = partial(_packed, results, has_vectors="vector" in params.include)
        if sum(map(len, results)) > _QUICK_HITS:
            return await asyncio.to_thread(pack)
        return pack()

    @contextmanager
    def _turn(self, caller: Caller, name: str) -> Iterator[asyncio.Future[None] | None]:
        """One connection's writes to a collection keep their order, though their texts are
        embedded side by side: of two with the same id, the later one wins. Yields what to wait
        for before writing."""
        key = (caller.id, name)
        previous = self._turns.get(key)
        mine = self._turns[key] = asyncio.get_running_loop().create_future()
        try:
            yield previous
        finally:
            mine.set_result(None)
            if self._turns[key] is mine:
                del self._turns[key]

    async def _vectors_for(
        self, params: p.UpsertParams, caller: Caller
    ) -> tuple[npt.NDArray[np.float32], dict[str, int], int]:
        """The documents' vectors, hits by tier and how many were computed."""
        info = await self._found(params.collection, may_create=params.create)
        if params.vectors is not None:
            vectors = self._given_vectors(params.vectors, info)
            if len(vectors) != len(params.ids):
                raise _uneven("vectors", len(vectors), len(params.ids))
            return vectors, {}, 0
        model = await self._model_of(info)
        request = p.EmbedParams(
            [], model.info.name, deadline_ms=params.deadline_ms, priority="bulk"
        )
        vectors, work = await self._embedding.vectors(params.texts or [], "texts", request, caller)
        return vectors, work.hits, work.computed

    async def _found(self, name: str, *, may_create: bool) -> Manifest:
        try:
            return self._collections.manifest(name)
        except CollectionNotFoundError:
            if not may_create:
                raise
        await self.create(p.CreateParams(name, exist_ok=True))
        return self._collections.manifest(name)

    async def _model_of(self, info: Manifest) -> LoadedModel:
        """The collection's model. Raises CollectionModelMismatchError where the store's model of
        that name is another one by now."""
        model = await self._registry.ensure(info.model)
        if model.fingerprint != info.fingerprint:
            raise CollectionModelMismatchError(
                f"{info.name} was built with another {info.model} (fingerprint "
                f"{info.fingerprint[:8]}, now {model.fingerprint[:8]}). Index its documents into a "
                "new collection.",
                details={"collection": info.name, "model": info.model},
            )
        return model

    async def _rebuild_quietly(self, name: str) -> None:
        try:
            await self._collections.rebuild(name)
        except EmberdError as exc:
            self._events.emit("index.not_rebuilt", exc.message, level="warning", collection=name)

    async def _mend_quietly(self, name: str) -> int:
        """Mend in the background; what cannot be mended now is tried after the next start."""
        try:
            count = await self._mend(name)
        except EmberdError as exc:
            self._events.emit("index.not_mended", exc.message, level="warning", collection=name)
            return 0
        self._events.emit(
            "index.mended", f"{name}: {count} vectors were computed again", collection=name
        )
        return count

    async def _mend(self, name: str) -> int:
        """Compute the vectors anew that a collection has lost; documents without a text keep
        waiting for a new upsert."""
        damaged = [each for each in await self._collections.damaged(name) if each.text is not None]
        if not damaged:
            return 0
        model = await self._model_of(self._collections.manifest(name))
        request = p.EmbedParams([], model.info.name, priority="bulk")
        caller = Caller(0, name="emberd (mending)")
        mended = 0
        for start in range(0, len(damaged), self._limits.texts):
            part = damaged[start : start + self._limits.texts]
            texts = [each.text or "" for each in part]
            vectors, _ = await self._embedding.vectors(texts, "texts", request, caller)
            mended += await self._collections.mend(name, part, vectors)
        return mended

    def _check_columns(self, params: p.UpsertParams) -> None:
        count = len(params.ids)
        if not count:
            raise InvalidParamsError(
                "ids: the list is empty; send at least one document.", details={"field": "ids"}
            )
        if count > self._limits.texts:
            raise InvalidParamsError(
                f"ids: {count} documents are over the limit of {self._limits.texts} a request.",
                details={"field": "ids", "limit": self._limits.texts},
            )
        if params.texts is None and params.vectors is None:
            raise InvalidParamsError("Give `texts`, `vectors` or both.", details={"field": "texts"})
        for name, column in (("texts", params.texts), ("metadata", params.metadata)):
            if column is not None and len(column) != count:
                raise _uneven(name, len(column), count)

    def _given_vectors(self, value: Any, info: Manifest) -> npt.NDArray[np.float32]:
        vectors = decode_vectors(value)
        if vectors.shape[1] != info.dim:
            raise InvalidParamsError(
                f"vectors: {info.name} has {info.dim} dimensions, {vectors.shape[1]} were given.",
                details={"field": "vectors"},
            )
        if not vectors.any(axis=1).all():
            raise InvalidParamsError(
                "vectors: a row that is all zeros has no direction.", details={"field": "vectors"}
            )
        return vectors

    async def _described(self, name: str) -> dict[str, Any]:
        """What is written down of a collection, and its figures of now."""
        plain: dict[str, Any] = msgspec.to_builtins(await self._collections.info(name))
        info = self._collections.manifest(name)
        return {
            **plain,
            "documents": plain.pop("count"),
            "fingerprint": info.fingerprint,
            "dtype": info.dtype,
            "created": info.created,
        }


def _document(document: Document, include: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = {"id": document.id}
    if "text" in include:
        row["text"] = document.text
    if "metadata" in include:
        row["metadata"] = document.metadata
    if document.vector is not None:
        row["vector"] = encode_vectors(document.vector[None])
    return row


def _packed(results: list[list[Hit]], *, has_vectors: bool) -> msgspec.Raw:
    """The reply of a search as MessagePack: a sixth of the time that maps of its hits take."""
    if has_vectors:
        results = [[_with_encoded_vector(hit) for hit in hits] for hits in results]
    # A query at a time: packing all at once would keep every other thread waiting.
    packed = [msgspec.Raw(msgspec.msgpack.encode(hits)) for hits in results]
    return msgspec.Raw(msgspec.msgpack.encode({"results": packed}))


def _with_encoded_vector(hit: Hit) -> Hit:
    vector: Any = None if hit.vector is None else encode_vectors(hit.vector[None])
    return msgspec.structs.replace(hit, vector=vector)


def _uneven(name: str, found: int, wanted: int) -> InvalidParamsError:
    return InvalidParamsError(
        f"{name}: {found} for {wanted} ids; give one for each.", details={"field": name}
    )
