"""What happens to rows inside a transaction: append, forget, evict.

Nothing here begins or commits one; whatever raises leaves the environment as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import lmdb

from emberd.cache.disk.environment import Table
from emberd.cache.disk.touches import Touches
from emberd.records.rows import (
    Record,
    key_in,
    make_record,
    read_record,
    rowid_bytes,
    rowid_of,
)

__all__ = [
    "Ageing",
    "Turned",
    "append_rows",
    "clear_rows",
    "first_rowid",
    "forget_rows",
    "last_rowid",
    "redate_rows",
    "turn",
]


@dataclass(frozen=True, slots=True)
class Ageing:
    """The rule by which rows grow too old. A `ttl_s` of 0 means never."""

    ttl_s: float
    slides: bool
    touches: Touches

    def born(self, rowid: int, created: int) -> int:
        """The Unix second that a row's age counts from."""
        return max(created, self.touches.last(rowid)) if self.slides else created

    def is_old(self, created: int, now: float) -> bool:
        """Was a row of this date made longer ago than the TTL, hits or not?"""
        return self.ttl_s > 0 and now - created >= self.ttl_s

    def is_expired(self, rowid: int, created: int, now: float) -> bool:
        return self.is_old(self.born(rowid, created), now)


@dataclass(slots=True)
class Turned:
    """What one turn of the clock's hand did."""

    evicted: int = 0
    expired: int = 0
    corrupt: int = 0
    kept: int = 0
    """Moved to the head because they were read since their last turn."""

    def add(self, other: Turned) -> None:
        self.evicted += other.evicted
        self.expired += other.expired
        self.corrupt += other.corrupt
        self.kept += other.kept


def append_rows(
    txn: lmdb.Transaction[bytes],
    table: Table,
    items: Sequence[tuple[bytes, bytes]],
    next_rowid: int,
    now: float,
) -> int:
    """Put `(key, value)` pairs at the head, the last of equal keys wins; the next row id."""
    for key, value in items:
        _append(txn, table, key, make_record(key, now, table.tag, value), next_rowid)
        next_rowid += 1
    return next_rowid


def forget_rows(txn: lmdb.Transaction[bytes], table: Table, keys: Sequence[bytes]) -> int:
    """Delete these keys and their rows; returns how many were there."""
    count = 0
    for key in keys:
        rowid = txn.pop(key, db=table.index)
        if rowid is not None:
            txn.delete(rowid, db=table.rows)
            count += 1
    return count


def clear_rows(txn: lmdb.Transaction[bytes], table: Table, limit: int) -> int:
    """Delete up to `limit` rows, damaged ones too; returns how many."""
    count = 0
    with txn.cursor(table.rows) as cursor:
        has_row = cursor.first()
        while has_row and count < limit:
            txn.delete(key_in(cursor.value()), db=table.index)
            cursor.delete()
            has_row = bool(cursor.key())
            count += 1
    if not has_row:  # keys of rows that were lost to damage
        txn.drop(table.index, delete=False)
    return count


def first_rowid(txn: lmdb.Transaction[bytes], table: Table) -> int | None:
    """The oldest row's id, None in an empty table."""
    with txn.cursor(table.rows) as cursor:
        return rowid_of(cursor.key()) if cursor.first() else None


def last_rowid(txn: lmdb.Transaction[bytes], table: Table) -> int:
    """The newest row's id, -1 in an empty table."""
    with txn.cursor(table.rows) as cursor:
        return rowid_of(cursor.key()) if cursor.last() else -1


def turn(
    txn: lmdb.Transaction[bytes],
    table: Table,
    ageing: Ageing,
    *,
    steps: int,
    next_rowid: int,
    now: float,
    only_expired: bool = False,
) -> tuple[Turned, int]:
    """Advance CLOCK's hand by up to `steps` rows from the tail.

    A row read since its last turn moves to the head and starts again as unread, others go. With
    `only_expired` the hand stops at the first row that was made within the TTL. Returns what was
    done and the next row id.
    """
    turned = Turned()
    again: list[tuple[Record, int]] = []
    with txn.cursor(table.rows) as cursor:
        has_row = cursor.first()
        while has_row and steps:
            steps -= 1
            stored, record = cursor.key(), read_record(cursor.value())
            rowid = rowid_of(stored)
            if only_expired and record is not None and not ageing.is_old(record.created, now):
                break
            cursor.delete()  # and stands on the next row
            has_row = bool(cursor.key())
            if record is None:
                turned.corrupt += 1
            elif ageing.is_expired(rowid, record.created, now):
                turned.expired += 1
                _forget_key(txn, table, record.key, stored)
            elif ageing.touches.last(rowid) and txn.get(record.key, db=table.index) == stored:
                turned.kept += 1
                again.append((record, ageing.born(rowid, record.created)))
            else:
                turned.evicted += 1
                _forget_key(txn, table, record.key, stored)
    for record, created in again:
        next_rowid = _renew(txn, table, record, created, next_rowid)
    return turned, next_rowid


def redate_rows(
    txn: lmdb.Transaction[bytes],
    table: Table,
    rowids: Sequence[int],
    ageing: Ageing,
    next_rowid: int,
) -> int:
    """Move rows to the head with the time of their last hit as their date, so that a restart keeps
    it and the tail stays the oldest. Returns the next row id."""
    for rowid in rowids:
        record = read_record(txn.get(rowid_bytes(rowid), b"", db=table.rows))
        if record is not None:
            next_rowid = _renew(txn, table, record, ageing.born(rowid, record.created), next_rowid)
    return next_rowid


def _renew(
    txn: lmdb.Transaction[bytes], table: Table, record: Record, created: int, next_rowid: int
) -> int:
    row = make_record(record.key, created, record.tag, record.value, record.text_length)
    _append(txn, table, record.key, row, next_rowid)
    return next_rowid + 1


def _append(txn: lmdb.Transaction[bytes], table: Table, key: bytes, row: bytes, rowid: int) -> None:
    stored = rowid_bytes(rowid)
    before = txn.replace(key, stored, db=table.index)
    if before is not None:
        txn.delete(before, db=table.rows)
    txn.put(stored, row, append=True, db=table.rows)


def _forget_key(txn: lmdb.Transaction[bytes], table: Table, key: bytes, stored: bytes) -> None:
    """Unless the key already names a newer row."""
    if txn.get(key, db=table.index) == stored:
        txn.delete(key, db=table.index)
