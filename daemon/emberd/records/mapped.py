"""The daemon's file, mapped read-only into another process of the same user.

A file is open once a process, however many clients read it. No transaction outlives a call: one
that stayed open would keep the daemon from using its pages again. What does not check out to the
last bit is a miss, as for the daemon.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import lmdb

from emberd.records.keys import KeySpace
from emberd.records.rows import open_row, rowid_of, tag_of
from emberd.records.tables import (
    FORMAT,
    FORMAT_KEY,
    MAX_TABLES,
    META_TABLE,
    UnusableError,
    table_names,
)

__all__ = ["MappedCache", "Reading", "attach", "detach", "let_go"]

# Values read since the file's last commit are kept, so that texts that come again are not hashed.
_FRESH_BYTES = 16 << 20
_FRESH_SPACES = 256

_Tables: TypeAlias = tuple["lmdb._Database", "lmdb._Database", int]


@dataclass(frozen=True, slots=True)
class Reading:
    """One value or None a text, and the rows that were read for them."""

    values: list[bytes | None]
    rowids: list[int] = field(default_factory=list)


class MappedCache:
    """The environment in one folder. Threads may share it; they read in turn."""

    def __init__(self, folder: Path, map_bytes: int) -> None:
        self.users = 0
        self._folder = folder
        self._file = str(folder / "data.mdb")
        self._lock_file = str(folder / "lock.mdb")
        self._map_bytes = map_bytes
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._env: lmdb.Environment | None = None
        self._identity = (0, 0)
        self._tables: dict[str, _Tables] = {}
        self._commit = -1
        self._fresh: dict[KeySpace, dict[str, bytes]] = {}
        self._fresh_bytes = 0

    def lookup(
        self, space: KeySpace, texts: Sequence[str], *, value_size: int, ttl_s: float, now: float
    ) -> Reading:
        """The values of these texts; one that is too old, damaged or not `value_size` long is
        None. Raises UnusableError."""
        if self._pid != os.getpid():
            raise UnusableError("this process was forked from one that has the file open")
        with self._lock:
            try:
                return self._looked_up(space, texts, value_size, now - ttl_s if ttl_s else None)
            except lmdb.ReadersFullError as exc:
                raise UnusableError("too many processes read the file") from exc
            except (OSError, lmdb.Error, SystemError) as exc:
                self._close()
                raise UnusableError(f"the file cannot be read: {exc}") from exc

    def close(self) -> None:
        """Let go of the file; the next lookup opens it again."""
        if self._pid == os.getpid():  # a parent's slots in the table of readers are the parent's
            with self._lock:
                self._close()

    def _looked_up(
        self, space: KeySpace, texts: Sequence[str], value_size: int, oldest: float | None
    ) -> Reading:
        env = self._current()
        tables = self._tables_of(env, space.namespace)
        if tables is None:
            return Reading([None] * len(texts))
        with self._begin(env) as txn:
            self._note_commit(txn.id())
            if len(self._fresh) > _FRESH_SPACES:
                self._forget()
            fresh = self._fresh.setdefault(space, {})
            values: list[bytes | None] = list(map(fresh.get, texts))
            if None not in values:
                return Reading(values)
            pairs = zip(texts, values, strict=True)
            missing = list(dict.fromkeys(text for text, value in pairs if value is None))
            found, rowids = _read(txn, tables, space, missing, value_size, oldest)
        if oldest is None:
            self._keep(fresh, found)
        for place, text in enumerate(texts):
            if values[place] is None:
                values[place] = found.get(text)
        return Reading(values, rowids)

    def _current(self) -> lmdb.Environment:
        """The environment that lies in the folder now: the daemon may have begun another."""
        found = os.stat(self._file)
        if self._env is None or (found.st_dev, found.st_ino) != self._identity:
            self._close()
            _check_owner(self._folder, stat.S_ISDIR)
            _check_owner(Path(self._file), stat.S_ISREG)
            lock = _inode_of(self._lock_file)
            self._env = _opened(self._folder, self._map_bytes)
            if (lock, found.st_ino) != (_inode_of(self._lock_file), _inode_of(self._file)):
                # A reader in another lock file than the writer's would not be seen by it.
                raise FileNotFoundError("it is being replaced")
            self._identity = (found.st_dev, found.st_ino)
        return self._env

    def _begin(self, env: lmdb.Environment) -> lmdb.Transaction[memoryview]:
        try:
            return env.begin(buffers=True)
        except lmdb.MapResizedError:  # by a daemon with a larger cache.disk_mib
            env.set_mapsize(0)
            return env.begin(buffers=True)

    def _tables_of(self, env: lmdb.Environment, namespace: str) -> _Tables | None:
        tables = self._tables.get(namespace)
        if tables is None:
            try:
                index, rows = (env.open_db(name, create=False) for name in table_names(namespace))
            except lmdb.NotFoundError:
                return None
            tables = self._tables[namespace] = index, rows, tag_of(namespace)
        return tables

    def _note_commit(self, commit: int) -> None:
        """What was read before the last commit may have been cleared by it, or evicted."""
        if commit != self._commit:
            self._commit = commit
            self._forget()

    def _keep(self, fresh: dict[str, bytes], found: dict[str, bytes]) -> None:
        size_bytes = sum(len(text) + len(value) for text, value in found.items())
        if self._fresh_bytes + size_bytes <= _FRESH_BYTES:
            self._fresh_bytes += size_bytes
            fresh.update(found)

    def _forget(self) -> None:
        self._fresh.clear()
        self._fresh_bytes = 0

    def _close(self) -> None:
        self._forget()
        self._tables.clear()
        self._commit = -1
        if self._env is not None:
            self._env.close()
            self._env = None


_guard = threading.Lock()
_open: dict[str, MappedCache] = {}


def attach(folder: Path, map_bytes: int) -> MappedCache:
    """The mapping of this folder, shared in this process; `detach` when done."""
    name = os.path.realpath(folder)
    with _guard:
        mapped = _open.get(name)
        if mapped is None:
            mapped = _open[name] = MappedCache(Path(name), map_bytes)
        mapped.users += 1
        return mapped


def detach(mapped: MappedCache) -> None:
    """One user less; the last one closes it."""
    with _guard:
        mapped.users -= 1
        if not mapped.users:
            mapped.close()
            for name in [name for name, each in _open.items() if each is mapped]:
                del _open[name]


def let_go(folder: Path) -> None:
    """Close this process's mapping of a folder: it is about to be opened for writing here."""
    with _guard:
        mapped = _open.get(os.path.realpath(folder))
    if mapped is not None:
        mapped.close()


def _read(
    txn: lmdb.Transaction[memoryview],
    tables: _Tables,
    space: KeySpace,
    texts: Sequence[str],
    value_size: int,
    oldest: float | None,
) -> tuple[dict[str, bytes], list[int]]:
    """Values by text, and the ids of their rows."""
    index, rows, tag = tables
    get = txn.get
    found: dict[str, bytes] = {}
    rowids: list[int] = []
    for text, key in zip(texts, space.keys(texts), strict=True):
        stored = get(key, None, index)
        if stored is None or (row := get(stored, None, rows)) is None:
            continue
        opened = open_row(row, key, tag)
        if opened is None or len(opened[1]) != value_size:
            continue
        if oldest is not None and opened[0] <= oldest:
            continue
        found[text] = opened[1]
        rowids.append(rowid_of(stored))
    return found, rowids


def _opened(folder: Path, map_bytes: int) -> lmdb.Environment:
    env = lmdb.open(
        str(folder),
        map_size=map_bytes,
        max_dbs=MAX_TABLES,
        max_spare_txns=1,
        readonly=True,
        create=False,
        readahead=False,
        lib_version=0,
    )
    try:
        meta = env.open_db(META_TABLE, create=False)
        with env.begin() as txn:
            stored = txn.get(FORMAT_KEY, db=meta)
    except BaseException:
        env.close()
        raise
    if stored != b"%d" % FORMAT:
        env.close()
        raise UnusableError("the file has another format than this version of emberd reads")
    return env


def _inode_of(file: str) -> int:
    return os.stat(file).st_ino


def _check_owner(path: Path, is_kind: Callable[[int], bool]) -> None:
    """Raises UnusableError for a link, another user's file, and one that others may open."""
    found = path.lstat()
    if not is_kind(found.st_mode) or found.st_uid != os.getuid():
        raise UnusableError(f"{path} is not this user's")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise UnusableError(f"{path} is open to other users")
