"""What a reader sees: one committed version of a collection's vectors, which never changes.

The writer publishes a new view with every commit. Views share their rows; only the marks of who is
alive are copied, a byte a row.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emberd.index.store.layout import Rows

__all__ = ["View"]

_SAMPLED_NAMES = 64


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Version `version`: `rows` in the order of `labels`; searches see those that are `alive`."""

    version: int
    rows: Rows
    labels: NDArray[np.uint64]
    """(n,) ascending; a damaged row repeats the label before it, so lookups find the good one."""
    names: NDArray[np.object_]
    """(n,) ids as str, None where one was not read since the opening; filled in by readers."""
    alive: NDArray[np.bool]
    """(n,) rows whose document is there and whose crc is right."""
    live: int
    """How many are alive."""
    count: int
    """Documents, those without a usable vector included."""

    @property
    def vectors(self) -> NDArray[np.floating]:
        """(n, dim) as they are kept, f32 or f16; rows that are not alive hold anything."""
        vectors: NDArray[np.floating] = self.rows["vector"]
        return vectors

    @property
    def dead(self) -> int:
        return len(self.labels) - self.live

    @property
    def names_bytes(self) -> int:
        """About the memory that the ids take, from the size of a few."""
        some = self.names[:: len(self.names) // _SAMPLED_NAMES + 1].tolist()
        sampled = sum(sys.getsizeof(name) for name in some if name is not None)
        return self.names.nbytes + sampled * len(self.names) // max(1, len(some))

    def rows_of(self, labels: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.bool]]:
        """The row of each label, and whether there is one that is alive (else the row is 0)."""
        if not len(self.labels):
            return np.zeros(len(labels), np.intp), np.zeros(len(labels), np.bool)
        # Without gaps a label says its row, which takes a sixth of the time of a search.
        at = np.minimum(labels - self.labels[0], np.uint64(len(self.labels) - 1)).astype(np.intp)
        found = (self.labels[at] == labels) & self.alive[at]
        if not found.all():
            at = np.searchsorted(self.labels, labels)
            at[at == len(self.labels)] = 0
            found = (self.labels[at] == labels) & self.alive[at]
            at[~found] = 0
        return at, found

    def mask_of(self, labels: NDArray[np.uint64]) -> NDArray[np.bool]:
        """(n,) rows that are alive and among these labels."""
        mask = np.zeros(len(self.labels), np.bool)
        at, found = self.rows_of(labels)
        mask[at[found]] = True
        return mask

    def vectors_of(self, labels: NDArray[np.uint64]) -> list[NDArray[np.float32] | None]:
        """A float32 copy of each label's vector, None for those that are not alive."""
        at, found = self.rows_of(labels)
        vectors = self.vectors
        return [
            vectors[row].astype(np.float32) if there else None
            for row, there in zip(at, found, strict=True)
        ]

    def gone_from(self, newer: View) -> NDArray[np.bool]:
        """(n,) rows that are alive here, and whose document is not so in a later version."""
        count = len(self.labels)
        if np.array_equal(self.labels[-1:], newer.labels[count - 1 : count]):
            return self.alive & ~newer.alive[:count]
        _, is_there = newer.rows_of(self.labels)  # the file was rewritten, and its rows moved
        return self.alive & ~is_there

    def after(self, label: int) -> int:
        """The first row whose label is greater."""
        return int(np.searchsorted(self.labels, np.uint64(label), side="right"))
