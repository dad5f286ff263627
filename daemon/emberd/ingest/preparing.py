"""One file, from its name to what has to be done about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from emberd.errors import InvalidParamsError, TextTooLongError
from emberd.ingest.chunks import Chunk, Recipe, chunks_of
from emberd.ingest.kinds import kind_of
from emberd.ingest.known import KnownFile
from emberd.ingest.passages import Count
from emberd.ingest.reading import SkippedError, UnreadableError, decode, read_file
from emberd.ingest.walk import FoundFile

__all__ = ["Outcome", "Preparer"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file."""

    file: FoundFile
    known: KnownFile | None = None
    """What the collection has of it."""
    chunks: Sequence[Chunk] = ()
    is_unchanged: bool = False
    skip_reason: str = ""
    failure: str = ""
    size_bytes: int = 0

    @property
    def stale_ids(self) -> list[str]:
        """Ids of an earlier version that this one has no more."""
        if self.known is None or self.is_unchanged or self.failure:
            return []
        return self.known.stale_ids(len(self.chunks))

    @property
    def must_write(self) -> bool:
        """Whether the collection has to change."""
        return bool(self.chunks or self.stale_ids)

    @property
    def change(self) -> str:
        """A word for the summary: new, changed, unchanged, removed; nothing for the rest."""
        if self.is_unchanged:
            return "unchanged"
        if not self.must_write:
            return ""
        if not self.chunks:
            return "removed"  # it is there, and has no text any more
        return "changed" if self.known else "new"


@dataclass(frozen=True, slots=True)
class Preparer:
    """Reads files and cuts them; called on several threads."""

    known: Mapping[str, KnownFile]
    recipe: Recipe
    count: Count

    def prepare(self, file: FoundFile) -> Outcome:
        """Read a file and cut it, unless the collection has it as it is. Raises what stops a
        whole run (the daemon is gone), and nothing that one file causes."""
        known = self.known.get(file.absolute)
        outcome = partial(Outcome, file, known)
        try:
            data, sha256 = read_file(file.absolute)
            if known is not None and known.is_current(sha256, self.recipe):
                return outcome(is_unchanged=True, size_bytes=len(data))
            may_have_long_lines = kind_of(file.path) not in ("code", "text")
            content = decode(data, sha256, may_have_long_lines=may_have_long_lines)
            chunks = chunks_of(file, content, self.recipe, self.count)
        except SkippedError as exc:
            return outcome(skip_reason=str(exc))
        except UnreadableError as exc:
            return outcome(failure=str(exc))
        except (InvalidParamsError, TextTooLongError) as exc:  # of counting its tokens
            return outcome(failure=exc.message)
        if not chunks:
            return outcome(skip_reason="empty")  # a page of pictures alone
        return outcome(chunks=chunks, size_bytes=len(data))
