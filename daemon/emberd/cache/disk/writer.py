"""Writes to the store, each in bounded transactions, and the room they need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import lmdb

from emberd.cache.disk.environment import Table
from emberd.cache.disk.plan import Item
from emberd.cache.disk.rows import (
    Ageing,
    Turned,
    append_rows,
    clear_rows,
    first_rowid,
    forget_rows,
    redate_rows,
    turn,
)
from emberd.cache.disk.store import MapFullError, Store
from emberd.errors import CacheUnavailableError

__all__ = ["RowWriter"]

# Transactions that a group of rows may take to make its room; each evicts twice the group.
_ROUNDS = 64
_CLEAR_ROWS = 1_024
_SWEEP_ROWS = 64
_UPKEEP_ROWS = 512
_UPKEEP_ROUNDS = 16
_SMALLEST_STEPS = 8


class RowWriter:
    """Appends, evicts and sweeps. `namespace_budgets` are bytes; a missing one is no budget."""

    def __init__(
        self,
        store: Store,
        ageing: Ageing,
        namespace_budgets: Mapping[str, int],
        clock: Callable[[], float],
    ) -> None:
        self.turned = Turned()
        self._store = store
        self._ageing = ageing
        self._budgets = namespace_budgets
        self._clock = clock

    def write(self, namespace: str, items: Sequence[Item]) -> None:
        """Keep these pairs, evicting what must go. Raises CacheUnavailableError."""
        for group in self._store.plan.groups(items):
            self._write_group(namespace, group)

    def forget(self, namespace: str, keys: Sequence[bytes]) -> int:
        with self._store.writing() as txn:
            table = self._store.tables.get(namespace)
            return forget_rows(txn, table, keys) if table else 0

    def clear(self, namespace: str) -> int:
        """Delete a namespace's rows, some at a time so that others can write in between."""
        count = 0
        while True:
            with self._store.writing() as txn:
                table = self._store.tables.get(namespace)
                removed = clear_rows(txn, table, _CLEAR_ROWS) if table else 0
            if not removed:
                return count
            count += removed

    def sweep(self) -> None:
        """Delete what is too old at each tail, a bounded number."""
        for namespace in list(self._store.tables):
            for _ in range(_UPKEEP_ROUNDS):
                with self._store.writing() as txn:
                    table = self._store.tables[namespace]
                    turned = self._turn(txn, table, _UPKEEP_ROWS, only_expired=True)
                if not turned.expired + turned.kept:
                    break

    def redate(self, namespace: str, rowids: Sequence[int]) -> None:
        """Write the time of these rows' last hits into them."""
        for start in range(0, len(rowids), _UPKEEP_ROWS):
            with self._store.writing() as txn:
                table = self._store.tables.get(namespace)
                if table is not None:
                    some = rowids[start : start + _UPKEEP_ROWS]
                    self._store.next_rowid = redate_rows(
                        txn, table, some, self._ageing, self._store.next_rowid
                    )

    def _write_group(self, namespace: str, items: Sequence[Item]) -> None:
        needed = sum(self._store.plan.row_bytes(len(value)) for _, value in items)
        steps = 2 * len(items) + _SWEEP_ROWS
        for _ in range(_ROUNDS):
            table = self._store.make_table(namespace)
            try:
                with self._store.writing() as txn:
                    if self._make_room(txn, table, needed, steps):
                        self._append(txn, table, items)
                        return
            except MapFullError:
                # Even evicting takes new pages: in smaller steps, until old ones come free.
                steps = max(steps // 4, _SMALLEST_STEPS)
        raise CacheUnavailableError("The cache found no room for new rows; they were dropped.")

    def _append(self, txn: lmdb.Transaction[bytes], table: Table, items: Sequence[Item]) -> None:
        store = self._store
        store.next_rowid = append_rows(txn, table, items, store.next_rowid, self._clock())

    def _make_room(
        self, txn: lmdb.Transaction[bytes], table: Table, needed: int, steps: int
    ) -> bool:
        """Evict by up to `steps` rows; is there room now?"""
        if self._ageing.ttl_s:
            self._turn(txn, table, _SWEEP_ROWS, only_expired=True)
        victim = self._victim(txn, table, needed)
        if victim is None:
            return True
        self._turn(txn, victim, steps)
        return self._victim(txn, table, needed) is None

    def _victim(self, txn: lmdb.Transaction[bytes], table: Table, needed: int) -> Table | None:
        """The table that must give up rows before `needed` bytes can go into `table`."""
        tables = list(self._store.tables.values())
        entries, size_bytes = table.measured(txn)
        budget = self._budgets.get(table.namespace)
        if budget and entries and size_bytes + needed > budget:
            return table
        total = sum(each.measured(txn)[1] for each in tables)
        if total + needed <= self._store.plan.target_bytes:
            return None
        return min(
            (each for each in tables if first_rowid(txn, each) is not None),
            key=lambda each: first_rowid(txn, each) or 0,
            default=None,
        )

    def _turn(
        self, txn: lmdb.Transaction[bytes], table: Table, steps: int, *, only_expired: bool = False
    ) -> Turned:
        store = self._store
        turned, store.next_rowid = turn(
            txn,
            table,
            self._ageing,
            steps=steps,
            next_rowid=store.next_rowid,
            now=self._clock(),
            only_expired=only_expired,
        )
        self.turned.add(turned)
        tails = [first_rowid(txn, each) for each in store.tables.values()]
        self._ageing.touches.drop_below(
            min((tail for tail in tails if tail is not None), default=0)
        )
        return turned
