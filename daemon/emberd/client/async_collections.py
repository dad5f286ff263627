"""The asyncio client's methods for collections."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from msgspec import UNSET

from emberd.client import collections as steps
from emberd.client.collections import Include, Queries, SearchOptions, Where
from emberd.client.embedding import OnProgress
from emberd.client.results import CheckReport, CollectionInfo, Document, Hit, UpsertResult
from emberd.client.settings import ClientSettings, Timeout
from emberd.client.steps import Steps
from emberd.client.upserting import upsert

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["AsyncCollectionCalls"]

T = TypeVar("T")


class AsyncCollectionCalls:
    """A part of `AsyncClient`."""

    _settings: ClientSettings

    async def _run(self, steps: Steps[T]) -> T:
        raise NotImplementedError

    async def collections_create(
        self, name: str, *, model: str | None = None, exist_ok: bool = False
    ) -> CollectionInfo:
        """Make a collection for the vectors of one model; None is the daemon's default.

        Raises CollectionExistsError, and with `exist_ok` only where the model is another one.
        """
        return await self._run(steps.create(self._settings, name, model=model, exist_ok=exist_ok))

    async def collections_list(self) -> list[CollectionInfo]:
        """Every collection of the daemon."""
        return await self._run(steps.list_all(self._settings))

    async def collections_info(self, name: str) -> CollectionInfo:
        """One collection. Raises CollectionNotFoundError."""
        return await self._run(steps.info(self._settings, name))

    async def collections_drop(self, name: str) -> None:
        """Delete a collection with everything in it. Raises CollectionNotFoundError."""
        await self._run(steps.drop(self._settings, name))

    async def collections_rebuild(self, name: str) -> bool:
        """Build a collection's graph anew in the background; False where one is being built."""
        return await self._run(steps.rebuild(self._settings, name))

    async def collections_check(self, name: str) -> CheckReport:
        """Read everything of a collection and mend what can be mended."""
        return await self._run(steps.check(self._settings, name))

    async def upsert(
        self,
        collection: str,
        ids: Iterable[str],
        texts: Iterable[str] | None = None,
        *,
        metadata: Iterable[Mapping[str, Any]] | None = None,
        vectors: NDArray[np.float32] | None = None,
        create: bool = True,
        on_progress: OnProgress | None = None,
        timeout_s: Timeout = UNSET,
    ) -> UpsertResult:
        """Write documents: new ones, and new versions of known ones.

        The daemon embeds the texts, unless `vectors`, (n, dim), are given. Long calls are cut
        into requests of 128; a document is safe once its request is answered, so that a broken
        call can be made again. `create` makes a collection that is not there.
        """
        return await self._run(
            upsert(
                self._settings,
                collection,
                ids,
                texts,
                metadata=metadata,
                vectors=vectors,
                create=create,
                on_progress=on_progress,
                timeout_s=timeout_s,
            )
        )

    async def delete(
        self,
        collection: str,
        ids: str | Iterable[str] | None = None,
        *,
        where: Where | None = None,
        timeout_s: Timeout = UNSET,
    ) -> int:
        """Delete documents by id or by a filter; how many there were."""
        return await self._run(steps.delete(self._settings, collection, ids, where, timeout_s))

    @overload
    async def get(  # type: ignore[overload-overlap]  # a str is a sequence of str too
        self, collection: str, ids: str, *, include: Include | None = None
    ) -> Document | None: ...

    @overload
    async def get(
        self, collection: str, ids: Sequence[str], *, include: Include | None = None
    ) -> list[Document | None]: ...

    async def get(
        self, collection: str, ids: str | Sequence[str], *, include: Include | None = None
    ) -> Document | list[Document | None] | None:
        """Documents by id, in that order; None for one that is not there."""
        found = await self._run(steps.get(self._settings, collection, ids, include))
        return found[0] if isinstance(ids, str) else found

    async def scan(
        self,
        collection: str,
        *,
        where: Where | None = None,
        include: Include | None = None,
        page: int = 256,
        timeout_s: Timeout = UNSET,
    ) -> AsyncGenerator[Document, None]:
        """Every document, or every one that fits a filter; `page` of them are held at a time."""
        cursor: Any = None
        while True:
            found = await self._run(
                steps.scan_page(
                    self._settings,
                    collection,
                    where=where,
                    include=include,
                    limit=page,
                    cursor=cursor,
                    timeout_s=timeout_s,
                )
            )
            for document in found.documents:
                yield document
            cursor = found.next_cursor
            if cursor is None:
                return

    @overload
    async def search(  # type: ignore[overload-overlap]  # a str is a sequence of str too
        self, collection: str, queries: str, k: int = 10, **options: Unpack[SearchOptions]
    ) -> list[Hit]: ...

    @overload
    async def search(
        self, collection: str, queries: Sequence[str], k: int = 10, **options: Unpack[SearchOptions]
    ) -> list[list[Hit]]: ...

    @overload
    async def search(
        self,
        collection: str,
        queries: NDArray[np.float32],
        k: int = 10,
        **options: Unpack[SearchOptions],
    ) -> Any: ...

    async def search(
        self, collection: str, queries: Queries, k: int = 10, **options: Unpack[SearchOptions]
    ) -> Any:
        """The best `k` documents, best first: a list of hits for one text or one vector, (dim,);
        a list of such lists for several texts or vectors, (n, dim)."""
        found = await self._run(steps.search(self._settings, collection, queries, k, **options))
        return found[0] if steps.is_one(queries) else found
