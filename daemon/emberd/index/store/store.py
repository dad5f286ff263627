"""One collection's files in use: writes by one thread, reads by many, all from the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import TypeVar

from emberd.index.manifest import Manifest
from emberd.index.store.checking import Checked, check_content, check_vectors
from emberd.index.store.committer import Committer, OnCommit
from emberd.index.store.inspection import structure_problems
from emberd.index.store.layout import RowLayout
from emberd.index.store.opening import Opened, open_files
from emberd.index.store.readers import Readers
from emberd.index.store.schema import DATABASE_ERRORS, DATABASE_FILE, is_damage
from emberd.index.store.transaction import Transaction
from emberd.index.store.view import View
from emberd.index.store.writer import Writer

__all__ = ["Store"]

T = TypeVar("T")


class Store:
    """The truth of one collection. Errors of SQLite and of the system come through as they are."""

    def __init__(
        self,
        folder: Path,
        committer: Committer,
        executor: Executor,
        notes: list[str],
        *,
        is_checked: bool,
    ) -> None:
        """Use `open`. `is_checked`: every document was verified at the opening."""
        self.is_checked = is_checked
        self.folder = folder
        self.notes = notes
        self.layout: RowLayout = committer.layout
        self._committer = committer
        self._writer = Writer(committer, folder.name)
        self.readers = Readers(folder / DATABASE_FILE, lambda: committer.view, executor)

    @classmethod
    async def open(
        cls,
        folder: Path,
        manifest: Manifest,
        executor: Executor,
        on_commit: OnCommit,
        *,
        distrust: bool = False,
    ) -> Store:
        """Open the files, mending what needs it; `notes` then say what was wrong.

        Raises what `open_files` does.
        """
        opening = partial(open_files, folder, manifest)
        begin = partial(cls._begin, folder, executor, on_commit)
        try:
            return await begin(await asyncio.to_thread(opening, distrust=distrust))
        except DATABASE_ERRORS as exc:
            if not is_damage(exc):
                raise
            # Sound to SQLite's own check, and yet not to be read: only a new database helps.
            return await begin(await asyncio.to_thread(opening, damage=str(exc)))

    @classmethod
    async def _begin(
        cls, folder: Path, executor: Executor, on_commit: OnCommit, opened: Opened
    ) -> Store:
        committer = Committer(
            opened.connection, opened.file, opened.seal, opened.view, opened.next_label, on_commit
        )
        store = cls(folder, committer, executor, opened.notes, is_checked=opened.is_doubtful)
        if opened.is_doubtful:
            try:
                checked = await store.write(lambda transaction: check_content(transaction, folder))
            except BaseException:
                await asyncio.shield(store.close())
                raise
            store.notes += [*checked.found, *checked.mended]
        return store

    @property
    def view(self) -> View:
        """The newest version; safe from any thread."""
        return self._committer.view

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Do `work` in a transaction; returns when it is on the disk.

        A caller that goes away does not stop a write that has begun.
        """
        return await asyncio.wrap_future(self._writer.submit(work))

    async def compact(self) -> int:
        """Rewrite the vectors' file without its dead rows; returns how many there were."""
        return await asyncio.wrap_future(self._writer.submit_alone(Committer.compact))

    async def structure_problems(self) -> list[str]:
        """What SQLite finds wrong with its file."""
        return await asyncio.wrap_future(
            self._writer.submit_alone(lambda committer: structure_problems(committer.connection))
        )

    async def check(self) -> Checked:
        """Check content and vectors and mend them; writes wait meanwhile."""
        content = await self.write(lambda transaction: check_content(transaction, self.folder))
        vectors = await self.write(check_vectors)
        return Checked(content.found + vectors.found, content.mended + vectors.mended)

    async def close(self) -> None:
        """Finish the writes that wait and the reads under way, then close every file."""
        await self.readers.close()
        await asyncio.to_thread(self._writer.close)
