"""Finding the files: everything below the paths that were named, less what is ignored."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from emberd.errors import StorageError
from emberd.ingest.ignore import IgnoreRules, Selection
from emberd.ingest.kinds import is_never_text
from emberd.ingest.report import Failure

__all__ = ["FoundFile", "Source", "Walked", "sources_of", "walk"]

_NEVER_ENTERED: Final = frozenset({"__pycache__", "node_modules", "site-packages"})
# A virtual environment, and a folder whose owner calls it a cache (bford.info/cachedir).
_MARKS_OF_NO_SOURCE: Final = frozenset({"pyvenv.cfg", "CACHEDIR.TAG"})


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file that is wanted, as far as its name and size tell."""

    root: str
    """The absolute path of the folder that was named."""
    path: str
    """Below it, with slashes."""
    size_bytes: int = 0
    mtime_s: float = 0.0

    @property
    def absolute(self) -> str:
        """The file's identity: whichever folder it is reached through."""
        return f"{self.root.rstrip('/')}/{self.path}"


@dataclass(frozen=True, slots=True)
class Source:
    """A folder that was named, or one file of it."""

    root: Path
    only: str | None = None

    def holds(self, absolute: str) -> str | None:
        """The path below the root of a file that this source speaks of, else None."""
        prefix = str(self.root).rstrip("/") + "/"
        path = absolute.removeprefix(prefix) if absolute.startswith(prefix) else None
        return path if self.only in (None, path) else None


@dataclass(slots=True)
class Walked:
    """What was found, and what was not taken."""

    files: list[FoundFile] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    """By reason: hidden, ignored, excluded, link, binary, large, special."""
    failures: list[Failure] = field(default_factory=list)
    """Folders that cannot be read: nothing is known of the files in them."""


def sources_of(paths: Iterable[str | os.PathLike[str]]) -> list[Source]:
    """The folders and files that were named. Raises StorageError for one that is not there."""
    sources = []
    for path in paths:
        try:
            found = Path(path).expanduser().resolve(strict=True)
        except (OSError, RuntimeError) as exc:
            reason = getattr(exc, "strerror", None) or str(exc)
            raise StorageError(
                f"{os.fspath(path)}: {reason}. Name a folder or a file.",
                details={"path": os.fspath(path)},
            ) from exc
        sources.append(Source(found) if found.is_dir() else Source(found.parent, found.name))
    return sources


def walk(sources: Iterable[Source], selection: Selection, *, max_bytes: int) -> Walked:
    """Every file that is wanted, each once, in the order of names. Links are not followed."""
    walk = _Walk(selection, max_bytes)
    for source in sources:
        walk.take(source)
    return walk.walked


class _Walk:
    def __init__(self, selection: Selection, max_bytes: int) -> None:
        self.walked = Walked()
        self._selection = selection
        self._max_bytes = max_bytes
        self._seen: set[str] = set()

    def take(self, source: Source) -> None:
        root = str(source.root)
        if source.only is None:
            self._enter(root, "", IgnoreRules.above(source.root))
        else:  # named by hand: no rule holds against it, but it must still be text
            self._judge(FoundFile(root, source.only))

    def _enter(self, root: str, below: str, above: IgnoreRules) -> None:
        folder = Path(root, below)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as exc:
            self.walked.failures.append(Failure(f"{folder}/", _reason(exc)))
            return
        if below and any(entry.name in _MARKS_OF_NO_SOURCE for entry in entries):
            self.walked.skipped["ignored"] += 1
            return
        rules = above.entering(folder)
        for entry in entries:
            path = f"{below}{entry.name}"
            if reason := self._reason_to_skip(entry, path, rules):
                self.walked.skipped[reason] += 1
            elif entry.is_dir(follow_symlinks=False):
                self._enter(root, f"{path}/", rules)
            else:
                self._judge(FoundFile(root, path))

    def _reason_to_skip(self, entry: os.DirEntry[str], path: str, rules: IgnoreRules) -> str:
        if entry.name.startswith("."):
            return "hidden"
        if entry.is_symlink():
            return "link"
        is_folder = entry.is_dir(follow_symlinks=False)
        if is_folder and entry.name in _NEVER_ENTERED:
            return "ignored"
        if not is_folder and not entry.is_file(follow_symlinks=False):
            return "special"
        if rules.ignores(f"{entry.path}/" if is_folder else entry.path):
            return "ignored"
        select = self._selection
        is_wanted = select.enters(f"{path}/") if is_folder else select.takes(path)
        return "" if is_wanted else "excluded"

    def _judge(self, file: FoundFile) -> None:
        if file.absolute in self._seen:
            return  # two of the paths that were named hold it
        self._seen.add(file.absolute)
        if is_never_text(file.path):
            self.walked.skipped["binary"] += 1
            return
        try:
            file.absolute.encode()
            found = Path(file.absolute).stat()
        except UnicodeEncodeError:
            shown = file.absolute.encode("utf-8", "backslashreplace").decode()
            self.walked.failures.append(Failure(shown, "its name is not UTF-8"))
        except OSError as exc:
            self.walked.failures.append(Failure(file.absolute, _reason(exc)))
        else:
            if found.st_size > self._max_bytes:
                self.walked.skipped["large"] += 1
            else:
                self.walked.files.append(
                    FoundFile(file.root, file.path, found.st_size, found.st_mtime)
                )


def _reason(exc: OSError) -> str:
    return (exc.strerror or str(exc)).lower()
