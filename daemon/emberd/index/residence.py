"""A collection's files in use: opened when first needed, opened anew when they are damaged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from emberd.config import IndexSettings
from emberd.errors import EmberdError, ShuttingDownError, StorageError
from emberd.index.documents import Notify
from emberd.index.manifest import Manifest
from emberd.index.search.searcher import Searcher
from emberd.index.store import Store
from emberd.index.store.records import DamagedDocumentsError
from emberd.index.store.schema import DATABASE_ERRORS, is_damage, storage_error
from emberd.index.store.snapshot import Snapshot
from emberd.index.store.view import View
from emberd.index.upkeep import Feeder, OnReload, VectorGraph

__all__ = ["Opened", "Residence"]

T = TypeVar("T")

_TRIES = 3
# Documents verified at a time after the opening of a large collection.
_SCRUB_DOCUMENTS = 256


class Opened:
    """Store, feeder and searcher of one opening."""

    def __init__(self, store: Store, feeder: Feeder, searcher: Searcher) -> None:
        self.store = store
        self.feeder = feeder
        self.searcher = searcher


class Residence:
    """Owned by the event loop."""

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        settings: IndexSettings,
        notify: Notify,
        executor: Executor,
        *,
        open_graph: Callable[[OnReload], Awaitable[VectorGraph]] | None,
        may_have: Callable[[int], bool],
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self.current: Opened | None = None
        self.is_opening = False
        self._settings = settings
        self._notify = notify
        self._executor = executor
        self._open_graph = open_graph
        self._may_have = may_have
        self._lock = asyncio.Lock()
        self._scrubbing: asyncio.Task[None] | None = None
        self._is_closed = False

    async def use(self, work: Callable[[Opened], Awaitable[T]]) -> T:
        """Do something with the open collection; damage that shows is mended, and it is tried anew.

        Raises StorageError where that does not help, ShuttingDownError once it is closed.
        """
        for _ in range(_TRIES):
            opened = await self._opened()
            try:
                return await work(opened)
            except ShuttingDownError:
                if self._is_closed or self.current is opened:
                    raise
            except (DamagedDocumentsError, OSError, *DATABASE_ERRORS) as exc:
                await self._mend(opened, exc)
        raise StorageError(
            f"The collection {self.manifest.name!r} is damaged and could not be mended. Look at "
            "the log, or drop it and index its documents again.",
            details={"path": str(self.folder)},
        )

    async def _mend(self, opened: Opened, exc: Exception) -> None:
        """Put right what `exc` tells of; raises it as a StorageError where it is no damage."""
        if isinstance(exc, DamagedDocumentsError):
            self._tell("warning", f"{exc}; the collection is checked")
            try:
                checked = await opened.store.check()
            except (OSError, *DATABASE_ERRORS) as worse:
                exc = worse
            else:
                self._say([*checked.found, *checked.mended])
                return
        if not is_damage(exc):
            raise storage_error(self.folder, exc) from exc
        await self.reopen(opened)

    async def reopen(self, opened: Opened) -> list[str]:
        """Close and open again with every check; returns what was wrong and what was done."""
        async with self._lock:
            if self.current is not opened:
                return []  # someone else was quicker
            self.current = None
            await _close(opened, save=True)
            return (await self._open(distrust=True)).store.notes

    async def close(self, *, save: bool = True) -> None:
        """Finish what is under way and close everything; there is no way back.

        Without `save` the graph is not: the collection is about to go.
        """
        if self._scrubbing is not None:
            self._scrubbing.cancel()
            await asyncio.gather(self._scrubbing, return_exceptions=True)
        async with self._lock:
            self._is_closed = True
            opened, self.current = self.current, None
            if opened is not None:
                await _close(opened, save=save)

    async def _opened(self) -> Opened:
        if self.current is not None:
            return self.current
        async with self._lock:
            if self._is_closed:
                raise ShuttingDownError("The collection is closed; try again.")
            return self.current or await self._open(distrust=False)

    async def _open(self, *, distrust: bool) -> Opened:
        feeders: list[Feeder] = []

        def committed(view: View, deleted: list[int]) -> None:
            del view
            for feeder in feeders:
                feeder.committed(deleted)

        self.is_opening = True
        try:
            store = await Store.open(
                self.folder, self.manifest, self._executor, committed, distrust=distrust
            )
        except (*DATABASE_ERRORS, OSError) as exc:
            raise storage_error(self.folder, exc) from exc
        finally:
            self.is_opening = False
        feeder = Feeder(
            self.manifest.name,
            store,
            self._settings,
            self._notify,
            open_graph=self._open_graph,
            may_have=self._may_have,
        )
        feeders.append(feeder)
        searcher = Searcher(store.readers, feeder, self._settings.exact_below, self._executor)
        self.current = Opened(store, feeder, searcher)
        self._say(store.notes)
        if self._scrubbing is None or self._scrubbing.done():
            self._scrubbing = asyncio.create_task(self._scrub())
        return self.current

    async def _scrub(self) -> None:
        """Once after the opening, verify all documents and bring their ids into memory."""

        async def work(opened: Opened) -> None:
            # Twice: a view that grows while its ids are filled in copies them before the last.
            for which in (Snapshot.all_labels, Snapshot.nameless_labels):
                async with opened.store.readers.lease() as lease:
                    labels = await lease.finish(which)
                for start in range(0, len(labels), _SCRUB_DOCUMENTS):
                    some = labels[start : start + _SCRUB_DOCUMENTS].tolist()
                    async with opened.store.readers.lease() as lease:
                        await lease.finish(Snapshot.read_names, some)
            opened.searcher.has_names = True

        with suppress(EmberdError):  # told already, or closed meanwhile
            await self.use(work)

    def _say(self, notes: list[str]) -> None:
        for note in notes:
            self._tell("warning", note)

    def _tell(self, level: str, message: str) -> None:
        self._notify(level, "index.damaged", f"{self.manifest.name}: {message}")


async def _close(opened: Opened, *, save: bool) -> None:
    await opened.feeder.close(save=save)
    await opened.store.close()
