"""The folder of collections: made and removed by renames, so that there is never half of one."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from emberd.cache.disk.file_systems import refuse_network_file_system
from emberd.errors import CacheUnavailableError, InvalidParamsError, StorageError
from emberd.index.manifest import (
    MANIFEST_FILE,
    Manifest,
    ManifestError,
    read_manifest,
    sync_folder,
)
from emberd.index.names import check_name
from emberd.index.store.opening import create_files
from emberd.index.store.schema import DATABASE_ERRORS, DATABASE_FILE

__all__ = [
    "Found",
    "build_folder",
    "look_around",
    "noted_count",
    "remove_folder",
    "size_of",
    "unusable",
]

# No collection's name begins with a dot.
_NEW, _DROPPED, _ASIDE = ".new-", ".dropped-", ".set-aside"


@dataclass(slots=True)
class Found:
    """The collections in a folder; `notes` say what was wrong with others."""

    manifests: list[Manifest] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def look_around(root: Path) -> Found:
    """Every collection below `root`; what was being made or dropped is removed.

    Raises StorageError on a network file system, OSError where the folder cannot be used.
    """
    _refuse_network(root)
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = Found()
    for folder in sorted(root.iterdir()):
        if folder.name.startswith((_NEW, _DROPPED)):
            shutil.rmtree(folder, ignore_errors=True)
        elif folder.is_dir() and _is_name(folder.name):
            _look_into(root, folder, found)
    return found


def build_folder(root: Path, manifest: Manifest) -> None:
    """A new collection's folder, complete from the moment it has its name.

    Raises FileExistsError, OSError, sqlite3.Error.
    """
    folder, fresh = root / manifest.name, root / f"{_NEW}{manifest.name}"
    if folder.exists():
        raise FileExistsError(folder)
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    create_files(fresh, manifest)
    fresh.rename(folder)
    sync_folder(root)


def remove_folder(root: Path, name: str) -> None:
    """Drop a collection: gone at once by its rename, whatever becomes of the files."""
    dropped = root / f"{_DROPPED}{name}-{time.time_ns()}"
    (root / name).rename(dropped)
    sync_folder(root)
    shutil.rmtree(dropped, ignore_errors=True)


def noted_count(root: Path, name: str) -> int:
    """The number of documents as the database notes it, without opening the collection."""
    file = root / name / DATABASE_FILE
    with (
        suppress(*DATABASE_ERRORS),
        closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db,
    ):
        row = db.execute("SELECT value FROM meta WHERE name = 'count'").fetchone()
        return int(row[0]) if row and isinstance(row[0], int) else 0
    return 0


def size_of(folder: Path) -> int:
    """Bytes that a folder takes on the disk; holes take none."""
    total = 0
    for parent, _, files in os.walk(folder):
        for file in files:
            with suppress(OSError):  # it may go meanwhile
                total += os.lstat(os.path.join(parent, file)).st_blocks * 512
    return total


def unusable(root: Path, exc: OSError) -> StorageError:
    """The error of a folder for collections that cannot be used."""
    return StorageError(
        f"Cannot use {root} for collections: {exc.strerror or exc}. Make it writable, or set "
        "EMBERD_HOME to another folder.",
        details={"path": str(root)},
    )


def _refuse_network(root: Path) -> None:
    """SQLite's log needs shared memory and locks that agree with the file at once."""
    try:
        refuse_network_file_system(root)
    except CacheUnavailableError as exc:
        kind = exc.details.get("file_system", "unknown")
        raise StorageError(
            f"{root} is on a network file system ({kind}), which cannot hold collections safely. "
            "Set EMBERD_HOME to a folder on a local disk.",
            details=exc.details,
        ) from exc


def _is_name(name: str) -> bool:
    try:
        check_name(name)
    except InvalidParamsError:
        return False
    return True


def _look_into(root: Path, folder: Path, found: Found) -> None:
    try:
        manifest = read_manifest(folder)
    except ManifestError as exc:
        if exc.is_newer:
            found.notes.append(
                f"The collection {folder.name!r} was written by a later version of emberd: {exc}. "
                "Update emberd to use it."
            )
            return
        _restore(root, folder, str(exc), found)
        return
    if manifest.name == folder.name:
        found.manifests.append(manifest)
    else:
        found.notes.append(
            f"The folder {folder} holds a collection {manifest.name!r}. Rename it back."
        )


def _restore(root: Path, folder: Path, reason: str, found: Found) -> None:
    """A manifest from its copy in the database; a folder without either is set aside."""
    manifest = _copy_in_database(folder)
    if manifest is not None and manifest.name == folder.name:
        manifest.write(folder)
        found.manifests.append(manifest)
        found.notes.append(
            f"{MANIFEST_FILE} of the collection {folder.name!r} was damaged ({reason}); it was "
            "restored from the database."
        )
        return
    aside = root / _ASIDE / f"{folder.name}-{time.time_ns()}"
    aside.parent.mkdir(mode=0o700, exist_ok=True)
    folder.rename(aside)
    found.notes.append(
        f"The collection {folder.name!r} cannot be read ({reason}) and was set aside as {aside}. "
        "Create it again and index its documents."
    )


def _copy_in_database(folder: Path) -> Manifest | None:
    file = folder / DATABASE_FILE
    if not file.exists():
        return None
    try:
        with closing(sqlite3.connect(file)) as db:
            row = db.execute("SELECT value FROM meta WHERE name = 'manifest'").fetchone()
        return Manifest.from_json(row[0])
    except (*DATABASE_ERRORS, ManifestError, TypeError):
        return None
