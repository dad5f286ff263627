"""Make a data file smaller: LMDB never gives space back, so the newest rows move to a new file.

Needed where the budget was lowered, or where little is left of a file that was once full.
"""

from __future__ import annotations

import heapq
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import lmdb

from emberd.cache.disk.environment import Table, create_environment, open_table
from emberd.cache.disk.home import Home
from emberd.cache.disk.plan import Plan, map_bytes
from emberd.records.rows import HEADER_BYTES, read_record, rowid_bytes, rowid_of

__all__ = ["is_rebuild_due", "rebuild"]

_SMALLEST_BYTES = 16 << 20
_SPARSE_SHARE = 4
_BATCH_ROWS = 4_096


def is_rebuild_due(file_bytes: int, live_bytes: int, plan: Plan) -> bool:
    """Is the file over its budget, or mostly empty?"""
    if file_bytes > map_bytes(plan.budget_bytes):
        return True
    return file_bytes > _SMALLEST_BYTES and live_bytes * _SPARSE_SHARE < file_bytes


def rebuild(env: lmdb.Environment, tables: list[Table], home: Home, plan: Plan) -> None:
    """Copy the newest rows that fit the plan to a new file and put it in the old one's place.

    `env` is closed. Raises lmdb.Error or OSError (no room for the copy) with the old file whole.
    """
    folder = home.folder / "lmdb.rebuilt"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        oldest = _oldest_to_keep(env, tables, plan)
        copy = create_environment(folder, map_bytes(plan.budget_bytes))
        try:
            for table in tables:
                _copy_rows(env, table, copy, oldest)
            copy.sync(True)
        finally:
            copy.close()
        env.close()
        (folder / "data.mdb").replace(home.data_file)
        _sync_folder(home.environment)
    finally:
        env.close()
        shutil.rmtree(folder, ignore_errors=True)


def _oldest_to_keep(env: lmdb.Environment, tables: list[Table], plan: Plan) -> int:
    """The row id from which on everything fits the plan's target."""
    size_bytes, oldest = 0, 0
    with env.begin(buffers=True) as txn:
        newest_first = heapq.merge(*(_sizes(txn, table) for table in tables))
        for negative_rowid, value_bytes in newest_first:
            size_bytes += plan.row_bytes(value_bytes)
            if size_bytes > plan.target_bytes:
                break
            oldest = -negative_rowid
        else:
            oldest = 0
    return oldest


def _sizes(txn: lmdb.Transaction[memoryview], table: Table) -> Iterator[tuple[int, int]]:
    with txn.cursor(table.rows) as cursor:
        for key, row in cursor.iterprev():
            yield -rowid_of(key), len(row) - HEADER_BYTES


def _copy_rows(env: lmdb.Environment, table: Table, copy: lmdb.Environment, oldest: int) -> None:
    target = open_table(copy, table.namespace)
    with env.begin() as source, source.cursor(table.rows) as cursor:
        has_row = cursor.set_range(rowid_bytes(oldest))
        while has_row:
            with copy.begin(write=True) as txn:
                for _ in range(_BATCH_ROWS):
                    if not has_row:
                        break
                    stored, row = cursor.item()
                    record = read_record(row)
                    if record and source.get(record.key, db=table.index) == stored:
                        txn.put(record.key, stored, db=target.index)
                        txn.put(stored, row, append=True, db=target.rows)
                    has_row = cursor.next()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
