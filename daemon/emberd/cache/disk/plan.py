"""Arithmetic of the persistent tier's budget: how much to keep, how much to write at once.

LMDB never gives file space back, and each transaction writes changed pages to new places that
come free two transactions later. So rows are kept to a target below the budget, by as much as
the transactions in flight can take.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from emberd.records.rows import HEADER_BYTES, ROWID_BYTES

__all__ = ["Item", "Plan", "map_bytes"]

Item = tuple[bytes, bytes]

# A multiple of every page size there is.
_MAP_STEP = 1 << 16

_PAGE_HEADER = 16
_NODE_BYTES = 8 + 2  # LMDB's node header and its slot in the page
_INDEX_BYTES = 60  # an index row of 32 bytes, in pages that random inserts leave half to full
_MAX_ROWS = 512
_MIN_ROWS = 16
# Pages that a row dirties: its place and its victim's in the index, and shares of row pages.
_DIRTY_PAGES = 2.6
_TRANSACTIONS_IN_FLIGHT = 3
_SMALLEST_TARGET = 0.25
_TIGHTER = 15 / 16


def map_bytes(budget_bytes: int) -> int:
    """The hard end of the file: the budget and 1/16 more, at least a MiB, so that there is always
    room for the transaction that evicts."""
    slack = max(budget_bytes // 16, 1 << 20)
    return (budget_bytes + slack) // _MAP_STEP * _MAP_STEP


class Plan:
    """Sizes in bytes for one environment. Only `tighten` changes anything."""

    def __init__(self, budget_bytes: int, page_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self.page_bytes = page_bytes
        self.rows = max(_MIN_ROWS, min(_MAX_ROWS, budget_bytes // page_bytes // 64))
        """Rows a transaction."""
        self.group_bytes = max(budget_bytes // 64, 64 << 10)
        """Of such rows together."""
        in_flight = int(self.rows * _DIRTY_PAGES * _TRANSACTIONS_IN_FLIGHT) * page_bytes
        reserve = max(budget_bytes // 32, in_flight)
        self._smallest = int(budget_bytes * _SMALLEST_TARGET)
        self.target_bytes = max(budget_bytes - reserve, self._smallest)
        """What the rows' pages may take."""

    def row_bytes(self, value_bytes: int) -> int:
        """What a row of such a value takes on disk, its share of the index included."""
        node = value_bytes + HEADER_BYTES + ROWID_BYTES + _NODE_BYTES
        room = self.page_bytes - _PAGE_HEADER
        if node + node % 2 > room // 2:  # a page holds two nodes or sends the value elsewhere
            pages = -(-(value_bytes + HEADER_BYTES + _PAGE_HEADER) // self.page_bytes)
            return pages * self.page_bytes + _INDEX_BYTES + _NODE_BYTES + ROWID_BYTES + 8
        return self.page_bytes // (room // (node + node % 2)) + _INDEX_BYTES

    def groups(self, items: Sequence[Item]) -> Iterator[list[Item]]:
        """Cut `(key, value)` pairs into transactions; a value too large for one is left out."""
        group: list[Item] = []
        size_bytes = 0
        for item in items:
            row_bytes = self.row_bytes(len(item[1]))
            if row_bytes > self.group_bytes:
                continue
            if len(group) == self.rows or size_bytes + row_bytes > self.group_bytes:
                yield group
                group, size_bytes = [], 0
            group.append(item)
            size_bytes += row_bytes
        if group:
            yield group

    def tighten(self) -> None:
        """The file outgrew the budget: keep less from now on."""
        self.target_bytes = max(int(self.target_bytes * _TIGHTER), self._smallest)
