"""The folder of checkpoints: three files each, two kept, none believed before it is verified.

`checkpoint-N.graph` is hnswlib's, `.books` says what its slots are, `.json` is the manifest, which
is written last. What fails is renamed to `*.corrupt-TIME` and the next older one is tried.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from emberd.errors import StorageError
from emberd.index.graph.books import BooksError, pack_books, unpack_books
from emberd.index.graph.content import GraphContent
from emberd.index.graph.files import hash_of, sync_file, sync_folder, write_synced
from emberd.index.graph.hnsw import HnswGraph
from emberd.index.graph.layout import FileLayout, LayoutError, MappedVectors, rows_of_slots
from emberd.index.graph.manifest import Manifest, ManifestError
from emberd.index.graph.shelf import VectorShelf

__all__ = ["Checkpoints", "Loaded", "Notice"]

_KEPT = 2
_KINDS = ("json", "graph", "books")
_NAME = re.compile(r"checkpoint-(\d+)\.(graph|books|json)(\.\d+\.tmp|\.corrupt-\d+)?")
_NO_MEMORY = "Not enough memory"


class Notice(Protocol):
    """Tells the owner what happened: an event's name, a sentence, and fields."""

    def __call__(self, event: str, message: str, **fields: Any) -> None: ...


class _DamagedError(Exception):
    """Why a checkpoint cannot be used."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was found: a checkpoint's number, its manifest and the graph that was in it."""

    number: int
    manifest: Manifest
    content: GraphContent


class Checkpoints:
    """The checkpoints of one graph. One process uses a folder."""

    def __init__(self, folder: Path, dim: int, threads: int, notice: Notice) -> None:
        """Makes the folder, and removes what an interrupted save left in it. Raises OSError."""
        self._folder = folder
        self._dim = dim
        self._threads = threads
        self._notice = notice
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sweep()

    def load(self, distrusted: Container[int] = ()) -> Loaded | None:
        """The newest checkpoint that is right in every way; None where there is none.

        Raises MemoryError or RuntimeError where the machine cannot hold it.
        """
        for number in reversed(self._numbers()):
            try:
                return self._load(number, is_distrusted=number in distrusted)
            except (_DamagedError, ManifestError, BooksError, LayoutError, OSError) as exc:
                self._quarantine(number, str(exc))
        return None

    def write(self, content: GraphContent, is_wanted: Callable[[], bool] = lambda: True) -> int:
        """Save a graph as the newest checkpoint and remove the third newest; returns its number.

        `is_wanted` is asked once everything is on the disk under temporary names. Raises
        StorageError; then nothing is left of it.
        """
        number = 0
        try:
            number = max(self._used_numbers(), default=0) + 1
            graph, books = (self._temporary(number, kind) for kind in ("graph", "books"))
            manifest = self._stage(content, graph, books, is_wanted)
            graph.replace(self._file(number, "graph"))
            books.replace(self._file(number, "books"))
            sync_folder(self._folder)
            write_synced(self._temporary(number, "json"), manifest.encode())
            self._temporary(number, "json").replace(self._file(number, "json"))
            sync_folder(self._folder)
        except (OSError, LayoutError) as exc:
            self._drop_temporaries(number)
            raise StorageError(
                f"The graph could not be saved in {self._folder}: {exc}. Make room on the disk; "
                "the documents themselves are safe.",
                details={"path": str(self._folder)},
            ) from exc
        with contextlib.suppress(OSError):  # the next save tries again
            self._prune()
        return number

    def manifest(self, number: int) -> Manifest:
        """Raises ManifestError, OSError."""
        return Manifest.decode(self._file(number, "json").read_bytes())

    def map(self, number: int) -> MappedVectors:
        """The vectors of a checkpoint that was just written. Raises OSError, ValueError."""
        manifest = self.manifest(number)
        _, rows = unpack_books(self._file(number, "books").read_bytes(), manifest.count)
        file = self._file(number, "graph")
        return MappedVectors(file, FileLayout.read(file, self._dim), self._dim, rows)

    def clear(self) -> None:
        """Remove every checkpoint. Raises OSError."""
        for number in self._numbers():
            self._remove(number)
        self._sweep()
        sync_folder(self._folder)

    def _load(self, number: int, *, is_distrusted: bool) -> Loaded:
        if is_distrusted:
            raise _DamagedError("the graph's process died while it read it")
        manifest = self.manifest(number)
        if manifest.dim != self._dim:
            raise _DamagedError(f"its vectors have {manifest.dim} dimensions, not {self._dim}")
        graph_file, books_file = self._file(number, "graph"), self._file(number, "books")
        _verify(books_file, manifest.books_bytes, manifest.books_hash)
        _verify(graph_file, manifest.graph_bytes, manifest.graph_hash)
        slots, rows = unpack_books(books_file.read_bytes(), manifest.count)
        if (slots.top, slots.count - slots.live) != (manifest.covered, manifest.deleted):
            raise _DamagedError("its books do not say what its manifest says")
        layout = FileLayout.read(graph_file, self._dim)
        self._notice("graph.reading", "", number=number)
        graph = self._read_graph(graph_file, manifest)
        shelf = VectorShelf(self._dim, MappedVectors(graph_file, layout, self._dim, rows))
        return Loaded(number, manifest, GraphContent(graph, slots, shelf, self._threads))

    def _read_graph(self, file: Path, manifest: Manifest) -> HnswGraph:
        try:
            graph = HnswGraph.load(file, self._dim, manifest.count, self._threads)
        except RuntimeError as exc:
            if _NO_MEMORY in str(exc):
                raise
            raise _DamagedError(f"hnswlib cannot read it: {exc}") from exc
        if graph.count != manifest.count:
            raise _DamagedError(f"it has {graph.count} vectors, not {manifest.count}")
        return graph

    def _stage(
        self, content: GraphContent, graph: Path, books: Path, is_wanted: Callable[[], bool]
    ) -> Manifest:
        """Write and sync both files; returns what is to be said of them."""
        expected_bytes = content.graph.save(graph)
        found_bytes = graph.stat().st_size
        if found_bytes != expected_bytes:
            raise OSError(f"{found_bytes} of {expected_bytes} bytes were written")
        layout = FileLayout.read(graph, self._dim)
        write_synced(books, pack_books(content.slots, rows_of_slots(graph, layout)))
        sync_file(graph)
        graph_hash = hash_of(graph)
        if not is_wanted():
            raise OSError("the process that asked for it is gone")
        return Manifest(
            dim=self._dim,
            m=content.graph.m,
            ef_construction=content.graph.ef_construction,
            count=content.slots.count,
            deleted=content.slots.count - content.slots.live,
            covered=content.slots.top,
            created=time.time(),
            graph_bytes=found_bytes,
            graph_hash=graph_hash,
            books_bytes=books.stat().st_size,
            books_hash=hash_of(books),
        )

    def _quarantine(self, number: int, reason: str) -> None:
        for file in self._folder.glob("checkpoint-*.corrupt-*"):
            file.unlink(missing_ok=True)  # the newest alone is kept for whoever looks into it
        suffix = f".corrupt-{int(time.time())}"
        for kind in _KINDS:
            file = self._file(number, kind)
            with contextlib.suppress(FileNotFoundError):
                file.rename(file.with_name(file.name + suffix))
        sync_folder(self._folder)
        self._notice(
            "graph.quarantined",
            f"Checkpoint {number} of the graph in {self._folder} is set aside: {reason}.",
            number=number,
            reason=reason,
        )

    def _prune(self) -> None:
        for number in self._numbers()[:-_KEPT]:
            self._remove(number)

    def _remove(self, number: int) -> None:
        for kind in _KINDS:  # without its manifest it is no checkpoint
            self._file(number, kind).unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove temporary files, and files without a manifest."""
        complete = set(self._numbers())
        for file in self._folder.iterdir():
            name = _NAME.fullmatch(file.name)
            if name is None or (name[3] or "").startswith(".corrupt"):
                continue
            if name[3] or int(name[1]) not in complete:
                file.unlink(missing_ok=True)

    def _numbers(self) -> list[int]:
        """Checkpoints that have a manifest, oldest first."""
        names = (_NAME.fullmatch(file.name) for file in self._folder.iterdir())
        return sorted(int(name[1]) for name in names if name and name[2] == "json" and not name[3])

    def _used_numbers(self) -> set[int]:
        names = (_NAME.fullmatch(file.name) for file in self._folder.iterdir())
        return {int(name[1]) for name in names if name}

    def _file(self, number: int, kind: str) -> Path:
        return self._folder / f"checkpoint-{number:08d}.{kind}"

    def _temporary(self, number: int, kind: str) -> Path:
        # The process's own: one that was left behind by its parent cannot be in another's way.
        return self._folder / f"checkpoint-{number:08d}.{kind}.{os.getpid()}.tmp"

    def _drop_temporaries(self, number: int) -> None:
        for kind in _KINDS:
            with contextlib.suppress(OSError):
                self._temporary(number, kind).unlink(missing_ok=True)


def _verify(file: Path, size_bytes: int, expected: str) -> None:
    found_bytes = file.stat().st_size
    if found_bytes != size_bytes:
        raise _DamagedError(f"{file.name} has {found_bytes} bytes, not {size_bytes}")
    if hash_of(file) != expected:
        raise _DamagedError(f"{file.name} is not as it was written")
