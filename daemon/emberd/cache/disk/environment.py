"""The LMDB environment: the one module that opens it, and what its errors mean.

Tables: `meta` (the format), and for each namespace `index:NAME` (key to row id) and `rows:NAME`
(row id to row). Row ids are one sequence for all, so that the oldest row of all can be found.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path

import lmdb

from emberd.cache.disk.home import Home
from emberd.cache.disk.inspection import Finding, Verdict, inspect_data_file
from emberd.errors import CacheUnavailableError
from emberd.records.mapped import let_go
from emberd.records.rows import tag_of
from emberd.records.tables import (
    FORMAT,
    FORMAT_KEY,
    INDEX,
    MAX_TABLES,
    META_TABLE,
    ROWS,
    table_names,
)

__all__ = [
    "Table",
    "create_environment",
    "is_damage",
    "is_disk_full",
    "open_environment",
    "open_table",
]

_MAX_NAMESPACE_BYTES = 255
# Of all processes that read the file: one with direct reads takes one.
_READERS = 510

_FULL = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM}
)
_DAMAGE = (
    lmdb.CorruptedError,
    lmdb.PageNotFoundError,
    lmdb.BadTxnError,  # what a get says whose page makes no sense
    lmdb.InvalidError,
    lmdb.IncompatibleError,
    lmdb.VersionMismatchError,
    lmdb.CursorFullError,
    lmdb.PageFullError,
    SystemError,  # what py-lmdb makes of an error while a cursor moves on after a delete
)


@dataclass(slots=True)
class Table:
    """A namespace's two tables and what they held at the last commit."""

    namespace: str
    index: lmdb._Database
    rows: lmdb._Database
    tag: int
    entries: int = 0
    size_bytes: int = 0

    def measured(self, txn: lmdb.Transaction[bytes]) -> tuple[int, int]:
        """Entries and bytes (of whole pages) as this transaction sees them."""
        index, rows = txn.stat(self.index), txn.stat(self.rows)
        pages = sum(
            part["branch_pages"] + part["leaf_pages"] + part["overflow_pages"]
            for part in (index, rows)
        )
        return rows["entries"], pages * rows["psize"]


def open_environment(
    home: Home, map_bytes: int, *, distrust: bool
) -> tuple[lmdb.Environment, list[str], str]:
    """The environment in `home`, its namespaces, and what was done to open it ("" for nothing).

    What cannot be used is set aside, never deleted. Raises CacheUnavailableError where no
    environment can be had at all.
    """
    try:
        return _open_or_begin(home, map_bytes, distrust=distrust)
    except (OSError, lmdb.Error) as exc:
        raise CacheUnavailableError(
            f"Cannot open the cache in {home.folder}: {exc}. Free some disk space or remove the "
            "folder; it holds only what can be computed again.",
            details={"path": str(home.folder)},
        ) from exc


def open_table(env: lmdb.Environment, namespace: str) -> Table:
    """The tables of a namespace, made when they are not there yet."""
    name = namespace.encode(errors="surrogateescape")
    if len(name) > _MAX_NAMESPACE_BYTES:
        raise CacheUnavailableError(
            f"The namespace's name is {len(name)} bytes long; use at most {_MAX_NAMESPACE_BYTES}."
        )
    with env.begin(write=True) as txn:
        index, rows = (env.open_db(each, txn=txn) for each in table_names(namespace))
        table = Table(namespace, index, rows, tag_of(namespace))
        table.entries, table.size_bytes = table.measured(txn)
    return table


def is_disk_full(exc: Exception) -> bool:
    """No more can be written for now, but what is there is whole."""
    return getattr(exc, "code", 0) in _FULL


def is_damage(exc: Exception) -> bool:
    """The file, or this process's view of it, is not to be relied on."""
    return isinstance(exc, _DAMAGE)


def create_environment(folder: Path, map_bytes: int) -> lmdb.Environment:
    """A new environment in a folder that is not there yet."""
    env = _open(folder, map_bytes)
    _format_of(env)
    return env


def _open_or_begin(
    home: Home, map_bytes: int, *, distrust: bool
) -> tuple[lmdb.Environment, list[str], str]:
    finding = inspect_data_file(home.data_file, distrust=distrust)
    if finding.verdict in (Verdict.FRESH, Verdict.SOUND):
        env = _open(home.environment, map_bytes)
        finding = _format_of(env)
        if finding.verdict is Verdict.SOUND:
            return env, _names(env, ROWS), ""
        env.close()
    label = "newer" if finding.verdict is Verdict.NEWER else "corrupt"
    note = home.set_aside(label, finding.reason)
    return create_environment(home.environment, map_bytes), [], note


def _open(folder: Path, map_bytes: int) -> lmdb.Environment:
    let_go(folder)  # a file may be open once a process
    return lmdb.open(
        str(folder),
        map_size=map_bytes,
        max_dbs=MAX_TABLES,
        max_readers=_READERS,
        max_spare_txns=1,
        metasync=False,
        sync=True,
        writemap=False,
        # Random reads: reading ahead would fill memory with rows that nobody asked for.
        readahead=False,
        mode=0o600,
        lib_version=0,
    )


def _format_of(env: lmdb.Environment) -> Finding:
    """Check the format record and the tables; a new environment gets ours."""
    is_new = not env.dbs()
    meta = env.open_db(META_TABLE)
    with env.begin() as txn:
        stored = txn.get(FORMAT_KEY, db=meta)
    if is_new:
        with env.begin(write=True) as txn:
            txn.put(FORMAT_KEY, b"%d" % FORMAT, db=meta)
        return Finding(Verdict.SOUND)
    if stored is None or not stored.isdigit():
        return Finding(Verdict.DAMAGED, "its format record makes no sense")
    if int(stored) != FORMAT:
        verdict = Verdict.NEWER if int(stored) > FORMAT else Verdict.DAMAGED
        return Finding(verdict, f"it has emberd's cache format {int(stored)}")
    if _names(env, INDEX) != _names(env, ROWS):
        return Finding(Verdict.DAMAGED, "its tables do not belong together")
    return Finding(Verdict.SOUND)


def _names(env: lmdb.Environment, prefix: str) -> list[str]:
    """Namespaces with a table of this prefix; a damaged name stays one that can be opened."""
    names = [bytes(name).decode(errors="surrogateescape") for name in env.dbs()]
    return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
