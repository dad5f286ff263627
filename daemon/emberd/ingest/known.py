"""What a collection holds of the files of earlier runs. The collection itself is the record:
each chunk says which file it is of, so that nothing can disagree with what is searched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from emberd.client import Document
from emberd.ingest.chunks import Recipe, chunk_id
from emberd.ingest.ignore import Selection
from emberd.ingest.walk import FoundFile, Source, Walked

__all__ = ["KnownFile", "files_gone", "known_files"]


class _Mark(msgspec.Struct, frozen=True):
    """The metadata by which a chunk is known as ours."""

    root: str
    path: str
    sha256: str
    cut: str


@dataclass(slots=True)
class KnownFile:
    """A file as the collection has it."""

    file: FoundFile
    versions: set[tuple[str, str]] = field(default_factory=set)
    """sha256 and cut of its chunks; more than one where a run was interrupted between them."""
    indices: set[int] = field(default_factory=set)
    """Of its chunks."""

    def is_current(self, sha256: str, recipe: Recipe) -> bool:
        """Whether every chunk of a file with these bytes is there, and no other."""
        is_whole = self.indices == set(range(len(self.indices)))
        return is_whole and self.versions == {(sha256, recipe.cut(len(self.indices)))}

    def stale_ids(self, chunks: int = 0) -> list[str]:
        """The ids that a version of the file with so many chunks has no more."""
        stale = sorted(index for index in self.indices if index >= chunks)
        return [chunk_id(self.file.absolute, index) for index in stale]


def known_files(documents: Iterable[Document]) -> dict[str, KnownFile]:
    """The files of the documents, by their absolute paths; documents of others are passed over."""
    known: dict[str, KnownFile] = {}
    for document in documents:
        try:
            mark = msgspec.convert(document.metadata, _Mark)
        except msgspec.ValidationError:
            continue
        file = FoundFile(mark.root, mark.path)
        name, _, index = document.id.rpartition("#")
        if name == file.absolute and index.isdecimal() and index.isascii():
            entry = known.setdefault(name, KnownFile(file))
            entry.indices.add(int(index))
            entry.versions.add((mark.sha256, mark.cut))
    return known


def files_gone(
    known: Mapping[str, KnownFile],
    walked: Walked,
    sources: Sequence[Source],
    selection: Selection,
) -> list[KnownFile]:
    """The files that this run would have found, were they still there.

    Left alone are those outside its sources and its selection, and those in folders that could
    not be read: nothing is known of them.
    """
    failed = {failure.path for failure in walked.failures}
    present = failed.union(file.absolute for file in walked.files)
    unread = tuple(path for path in failed if path.endswith("/"))
    return [
        entry
        for absolute, entry in known.items()
        if absolute not in present
        and not absolute.startswith(unread)
        and any(_would_find(source, selection, absolute) for source in sources)
    ]


def _would_find(source: Source, selection: Selection, absolute: str) -> bool:
    path = source.holds(absolute)
    return path is not None and (source.only is not None or selection.takes(path))
