"""All collections of a daemon: found at the start, opened when first needed."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Collection as Some
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Literal

import msgspec
from numpy.typing import NDArray

from emberd.config import IndexSettings
from emberd.errors import CollectionExistsError, InvalidParamsError, StorageError
from emberd.index.collection import Collection
from emberd.index.documents import (
    DEFAULT_INCLUDE,
    CheckReport,
    CollectionInfo,
    Document,
    Hit,
    Notify,
    UpsertResult,
)
from emberd.index.manifest import Manifest
from emberd.index.names import check_name, not_found
from emberd.index.residence import Residence
from emberd.index.shelf import (
    build_folder,
    look_around,
    noted_count,
    remove_folder,
    size_of,
    unusable,
)
from emberd.index.store.schema import storage_error
from emberd.index.upkeep import OnReload, OpenGraph, VectorGraph
from emberd.wire.snapshot import CollectionStats, IndexStats

__all__ = ["Collections"]

# `list` is a method here, so the type needs other names inside the class.
_Documents = list[Document]
_Hits = list[list[Hit]]
_Infos = list[CollectionInfo]
_MaybeDocuments = list[Document | None]
_Names = list[str]
_Page = tuple[list[Document], str | None]

_MOST_DIMENSIONS = 65_536
_SIZES_S = 10.0


def _ignore(level: str, event: str, message: str) -> None:
    del level, event, message


class Collections:
    """Owned by the event loop. `notify` hears what people should know of.

    Methods that take a name raise CollectionNotFoundError for one that there is not,
    InvalidParamsError for wrong parameters, StorageError where the disk or the files do not allow
    it.
    """

    def __init__(
        self,
        folder: Path,
        settings: IndexSettings,
        notify: Notify = _ignore,
        *,
        open_graph: OpenGraph | Literal["default"] | None = "default",
    ) -> None:
        """`open_graph` None: every search is exact."""
        self._root = folder
        self._settings = settings
        self._notify = notify
        self._open_graph = (
            _worker_graphs(settings, notify) if open_graph == "default" else open_graph
        )
        self._collections: dict[str, Collection] = {}
        self._counts: dict[str, int] = {}
        self._sizes: dict[str, int] = {}
        self._sized_at = 0.0
        self._sizing: asyncio.Task[None] | None = None
        self._claims: dict[str, int] = {}
        self._refusal: StorageError | None = None
        self._changing = asyncio.Lock()
        threads = settings.threads or os.cpu_count() or 1
        self._executor = ThreadPoolExecutor(max(2, threads), "index-read")

    async def open(self) -> None:
        """Find the collections; each is opened by its first use.

        Raises nothing: a folder that cannot be used is told, and refuses every call.
        """
        try:
            found = await asyncio.to_thread(look_around, self._root)
        except (StorageError, OSError) as exc:
            self._refusal = exc if isinstance(exc, StorageError) else unusable(self._root, exc)
            self._notify("error", "index.off", self._refusal.message)
            return
        for note in found.notes:
            self._notify("error", "index.damaged", note)
        for manifest in found.manifests:
            self._collections[manifest.name] = self._make(manifest)
        await self._refresh_sizes()

    async def close(self) -> None:
        """Finish what is under way, save the graphs, close every file."""
        async with self._changing:
            closing = [each.residence.close() for each in self._collections.values()]
            await asyncio.gather(*closing)
            if self._sizing is not None:
                await self._sizing
            self._executor.shutdown(wait=False)

    async def create(self, name: str, *, model: str, fingerprint: str, dim: int) -> None:
        """Make an empty collection for vectors of one model. Raises CollectionExistsError."""
        check_name(name)
        if not 1 <= dim <= _MOST_DIMENSIONS:
            raise InvalidParamsError(
                f"dim must be 1 to {_MOST_DIMENSIONS}, not {dim}.", details={"field": "dim"}
            )
        manifest = Manifest(
            name=name,
            model=model,
            fingerprint=fingerprint,
            dim=dim,
            dtype=self._settings.dtype,
            created=time.time(),
        )
        async with self._changing:
            if self._refusal is not None:
                raise self._refusal
            if name in self._collections:
                raise _exists(name)
            try:
                await asyncio.to_thread(build_folder, self._root, manifest)
            except FileExistsError:
                raise _exists(name) from None
            except (OSError, sqlite3.Error) as exc:
                raise storage_error(self._root / name, exc) from exc
            self._collections[name] = self._make(manifest)

    async def drop(self, name: str) -> None:
        """Remove a collection with everything in it."""
        async with self._changing:
            collection = self._find(name)
            del self._collections[name]
            await collection.residence.close(save=False)
            for noted in (self._counts, self._sizes, self._claims):
                noted.pop(name, None)
            try:
                await asyncio.to_thread(remove_folder, self._root, name)
            except OSError as exc:
                raise storage_error(self._root / name, exc) from exc

    def names(self) -> _Names:
        return sorted(self._collections)

    def manifest(self, name: str) -> Manifest:
        """The model, the dimensions and so on of a collection."""
        return self._find(name).manifest

    async def list(self) -> _Infos:
        """Every collection, by name; costs no opening."""
        await self._refresh_sizes()
        return [self._info(self._collections[name]) for name in self.names()]

    async def info(self, name: str) -> CollectionStats:
        """A collection's figures; opens it."""
        collection = self._find(name)
        await collection.ready()
        await self._refresh_sizes()
        return collection.stats(self._sizes.get(name, 0), take_latency=False)

    async def rebuild(self, name: str) -> None:
        """Write the vectors' file and the graph anew; searches go on, exactly."""
        await self._find(name).rebuild()

    async def check(self, name: str) -> CheckReport:
        """Verify everything that is stored, mend what can be mended, and say both."""
        return await self._find(name).check()

    async def upsert(
        self,
        name: str,
        ids: Sequence[str],
        vectors: NDArray[Any],
        texts: Sequence[str | None] | None = None,
        metadata: Sequence[Mapping[str, Any] | None] | None = None,
        *,
        fingerprint: str | None = None,
    ) -> UpsertResult:
        """Put documents in, each as a whole in the place of the one with its id.

        `vectors` (n, dim). On the disk when this returns. A document that is the same already is
        left alone. Raises CollectionModelMismatchError where `fingerprint` is another's.
        """
        collection = self._find(name)
        collection.check_fingerprint(fingerprint)
        return await collection.upsert(ids, vectors, texts, metadata)

    async def delete(
        self,
        name: str,
        ids: Sequence[str] | None = None,
        where: Mapping[str, Any] | None = None,
    ) -> int:
        """Take out documents by id or by a filter; returns how many there were."""
        return await self._find(name).delete(ids, where)

    async def get(
        self, name: str, ids: Sequence[str], include: Some[str] = DEFAULT_INCLUDE
    ) -> _MaybeDocuments:
        """The documents of these ids, None where there is none."""
        return await self._find(name).get(ids, include)

    async def scan(
        self,
        name: str,
        *,
        where: Mapping[str, Any] | None = None,
        limit: int = 100,
        cursor: str | None = None,
        include: Some[str] = DEFAULT_INCLUDE,
    ) -> _Page:
        """A page of documents, oldest change first, and the next one's cursor (None at the end)."""
        return await self._find(name).scan(where, limit, cursor, include)

    async def search(
        self,
        name: str,
        vectors: NDArray[Any],
        k: int = 10,
        *,
        where: Mapping[str, Any] | None = None,
        query_texts: Sequence[str] | None = None,
        hybrid: bool = False,
        min_score: float | None = None,
        include: Some[str] = DEFAULT_INCLUDE,
        explain: bool = False,
        exact: bool | None = None,
        fingerprint: str | None = None,
    ) -> _Hits:
        """The k best documents for each query (q, dim), best first; fewer where there are fewer.

        With `hybrid` the words of `query_texts` count too. `min_score` is a least cosine. `exact`
        True never asks the graph, False always does where there is one.
        """
        collection = self._find(name)
        collection.check_fingerprint(fingerprint)
        return await collection.search(
            vectors,
            k,
            where=where,
            query_texts=query_texts,
            hybrid=hybrid,
            min_score=min_score,
            include=include,
            explain=explain,
            exact=exact,
        )

    async def damaged(self, name: str) -> _Documents:
        """Documents whose vector must be computed again, with their texts; see `mend`."""
        return await self._find(name).damaged()

    async def mend(self, name: str, documents: Sequence[Document], vectors: NDArray[Any]) -> int:
        """Give what `damaged` named new vectors (n, dim); returns how many took them."""
        return await self._find(name).mend(documents, vectors)

    def stats(self) -> IndexStats:
        """For the snapshot, once a second: latencies begin anew with each call."""
        if time.monotonic() - self._sized_at > _SIZES_S and self._sizing is None:
            self._sizing = asyncio.get_running_loop().create_task(self._refresh_sizes())
        return IndexStats(
            collections=[self._stats_of(self._collections[name]) for name in self.names()]
        )

    def _stats_of(self, collection: Collection, *, take_latency: bool = True) -> CollectionStats:
        name = collection.manifest.name
        found = collection.stats(self._sizes.get(name, 0), take_latency=take_latency)
        if collection.residence.current is not None:
            return found
        return msgspec.structs.replace(found, count=self._counts.get(name, 0))

    def _info(self, collection: Collection) -> CollectionInfo:
        manifest, found = collection.manifest, self._stats_of(collection, take_latency=False)
        return CollectionInfo(
            name=manifest.name,
            model=manifest.model,
            fingerprint=manifest.fingerprint,
            dim=manifest.dim,
            dtype=manifest.dtype,
            created=manifest.created,
            count=found.count,
            size_bytes=found.size_bytes,
            state=found.state,
        )

    def _find(self, name: str) -> Collection:
        if self._refusal is not None:
            raise self._refusal
        try:
            return self._collections[check_name(name)]
        except KeyError:
            raise not_found(name, self._collections) from None

    def _make(self, manifest: Manifest) -> Collection:
        name, open_graph = manifest.name, self._open_graph
        folder = self._root / name
        residence = Residence(
            folder,
            manifest,
            self._settings,
            self._notify,
            self._executor,
            open_graph=partial(open_graph, folder / "graph", manifest.dim) if open_graph else None,
            may_have=partial(self._may_have, name),
        )
        return Collection(residence, self._settings.query_cache_mib << 20)

    def _may_have(self, name: str, size_bytes: int) -> bool:
        """Whether the graph of this collection fits beside those of the others."""
        self._claims.pop(name, None)
        budget = self._settings.memory_mib << 20
        if budget and sum(self._claims.values()) + size_bytes > budget:
            return False
        self._claims[name] = size_bytes
        return True

    async def _refresh_sizes(self) -> None:
        """Sizes on the disk, and the counts of collections that are not open."""
        try:
            for name in self.names():
                self._sizes[name] = await asyncio.to_thread(size_of, self._root / name)
                if name in self._collections and not self._collections[name].residence.current:
                    self._counts[name] = await asyncio.to_thread(noted_count, self._root, name)
        finally:
            self._sized_at = time.monotonic()
            self._sizing = None


def _worker_graphs(settings: IndexSettings, notify: Notify) -> OpenGraph:
    def tell(event: str, message: str = "", *, level: str = "info", **fields: Any) -> None:
        del fields
        notify(level, event, message)

    async def open_graph(folder: Path, dim: int, on_reload: OnReload) -> VectorGraph:
        # A daemon without large collections never needs it.
        from emberd.index.graph import Graph, GraphOptions  # noqa: PLC0415

        options = GraphOptions(
            m=settings.m, ef_construction=settings.ef_construction, threads=settings.threads
        )
        return await Graph.open(folder, dim=dim, options=options, notify=tell, on_reload=on_reload)

    return open_graph


def _exists(name: str) -> CollectionExistsError:
    return CollectionExistsError(
        f"There is a collection {name!r} already. Use it, or drop it first.",
        details={"collection": name},
    )
