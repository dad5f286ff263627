"""Runs of `emberd index`, as other processes see them: a lock while one runs, and a file that says
how far it is. One at a time for each collection.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from emberd.errors import DaemonAlreadyRunningError, EmberdError
from emberd.paths import ensure_private_folder
from emberd.server.lock import FolderLock, holder_of

if TYPE_CHECKING:
    from emberd.cli.context import App
    from emberd.ingest import Progress

__all__ = ["JobFiles", "RunningJob", "all_jobs"]

_NOTE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class JobFiles:
    """Where a collection's runs are written down."""

    folder: Path
    log_folder: Path
    name: str

    @classmethod
    def of(cls, app: App, collection: str) -> JobFiles:
        """The files for a collection of the daemon that `--socket` names."""
        name = quote(collection, safe="")
        if not app.is_local:  # another daemon's collection of that name is another one
            name += f"@{hashlib.blake2b(app.address.encode(), digest_size=4).hexdigest()}"
        return cls(_folder_of(app), app.paths.logs, name)

    @property
    def lock(self) -> Path:
        return self.folder / f"{self.name}.lock"

    @property
    def state(self) -> Path:
        return self.folder / f"{self.name}.json"

    @property
    def log(self) -> Path:
        return self.log_folder / f"index-{self.name}.log"

    def make_folders(self) -> None:
        """Raises StorageError."""
        for folder in (self.folder, self.log_folder):
            ensure_private_folder(folder)

    def refuse_second(self, collection: str) -> None:
        """Raises DaemonAlreadyRunningError while a run holds the lock."""
        if (pid := holder_of(self.lock)) is not None:
            raise _runs_already(collection, pid)


def all_jobs(app: App) -> list[dict[str, Any]]:
    """The last run of each collection, as it wrote itself down; `state` is what is true now."""
    jobs = []
    for file in sorted(_folder_of(app).glob("*.json")):
        with contextlib.suppress(OSError, ValueError):  # being replaced, or not ours
            job = json.loads(file.read_text("utf-8"))
            if job["state"] == "running" and holder_of(file.with_suffix(".lock")) is None:
                job["state"] = "killed"
            jobs.append(job)
    return jobs


def _folder_of(app: App) -> Path:
    return app.paths.data / "index-jobs"


@dataclass(slots=True)
class RunningJob:
    """This process's run: holds the lock, and writes down how far it is once a second."""

    files: JobFiles
    about: dict[str, Any]
    clock: Callable[[], float] = time.monotonic
    _noted_at: float = field(default=float("-inf"))

    @classmethod
    @contextlib.contextmanager
    def started(cls, files: JobFiles, collection: str, **about: Any) -> Iterator[RunningJob]:
        """Raises DaemonAlreadyRunningError where another process indexes into the collection."""
        files.make_folders()
        try:
            lock = FolderLock(files.lock)
        except DaemonAlreadyRunningError as exc:
            raise _runs_already(collection, exc.details.get("pid")) from exc
        about = {"collection": collection, **about, "pid": os.getpid(), "started": time.time()}
        job = cls(files, about)
        try:
            job._write("running")
            yield job
        except KeyboardInterrupt:
            job._write("interrupted")
            raise
        except BaseException as exc:
            message = (
                exc.message if isinstance(exc, EmberdError) else f"{type(exc).__name__}: {exc}"
            )
            job.about["error"] = message
            job._write("failed")
            raise
        else:
            job._write("done")
        finally:
            lock.release()

    def note(self, progress: Progress) -> None:
        """Say how far it is."""
        self.about |= {
            "files": progress.files,
            "files_total": progress.files_total,
            "chunks": progress.chunks,
            "elapsed_s": round(progress.elapsed_s, 3),
        }
        now = self.clock()
        if now - self._noted_at >= _NOTE_S:
            self._noted_at = now
            self._write("running")

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Say what came of it."""
        self.about["summary"] = dict(summary)

    def _write(self, state: str) -> None:
        """By rename: a reader sees the whole of one state."""
        self.about |= {"state": state, "updated": time.time()}
        fresh = self.files.state.with_suffix(".new")
        fresh.write_text(json.dumps(self.about, ensure_ascii=False), "utf-8")
        fresh.replace(self.files.state)


def _runs_already(collection: str, pid: object) -> DaemonAlreadyRunningError:
    return DaemonAlreadyRunningError(
        f"`emberd index` fills {collection!r} already (pid {pid or 'unknown'}). "
        "`emberd index --status` shows how far it is.",
        details={"pid": pid, "collection": collection},
    )
