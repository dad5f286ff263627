"""Which label lies in which slot of the graph, and which slots are deleted.

hnswlib knows slots: 0, 1, 2 ... in the order of adding. Labels are the owner's and may be any
number; a slot's label never changes, and a label that was ever deleted never comes back.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Labels", "Slots"]

Labels = NDArray[np.uint64]
SlotArray = NDArray[np.int64]

_FEWEST = 1_024


class Slots:
    """The books of one graph."""

    def __init__(self) -> None:
        self._labels: Labels = np.empty(_FEWEST, np.uint64)
        self._is_live: NDArray[np.bool] = np.empty(_FEWEST, np.bool)
        self._order: SlotArray | None = None  # None: labels ascend with their slots
        self._count = 0
        self._live = 0
        self._top = 0
        # Deleted before they were added: an add that comes late must not bring them back.
        self._barred: set[int] = set()

    @classmethod
    def of(cls, labels: Labels, is_live: NDArray[np.bool]) -> Slots:
        """Books with these labels in slots 0, 1, 2 ..."""
        slots = cls()
        slots.append(labels)
        slots._is_live[: len(labels)] = is_live
        slots._live = int(np.count_nonzero(is_live))
        return slots

    @property
    def count(self) -> int:
        """Slots in use, deleted ones included."""
        return self._count

    @property
    def live(self) -> int:
        """Slots that are not deleted."""
        return self._live

    @property
    def top(self) -> int:
        """The highest label that was ever added; 0 where there is none."""
        return self._top

    @property
    def labels(self) -> Labels:
        """`(count,)`: the label of each slot."""
        return self._labels[: self._count]

    @property
    def is_live(self) -> NDArray[np.bool]:
        """`(count,)`: whether the slot is not deleted."""
        return self._is_live[: self._count]

    def is_new(self, labels: Labels) -> NDArray[np.bool]:
        """Which of `labels` may be added: not here, not deleted before."""
        _, is_known = self._find(labels)
        is_new: NDArray[np.bool] = ~is_known
        if self._barred and is_new.any():
            is_new &= ~np.isin(labels, np.fromiter(self._barred, np.uint64, len(self._barred)))
        return is_new

    def append(self, labels: Labels) -> None:
        """Put new labels, each given once, into the next slots."""
        if not len(labels):
            return
        start, end = self._count, self._count + len(labels)
        self._reserve(end)
        ascends = bool((labels[1:] > labels[:-1]).all()) and int(labels[0]) > self._top
        self._labels[start:end] = labels
        self._is_live[start:end] = True
        self._count, self._live = end, self._live + len(labels)
        self._top = max(self._top, int(labels.max()))
        if self._order is not None or not ascends:
            self._order = np.argsort(self.labels)

    def live_slots(self, labels: Labels) -> SlotArray:
        """Slots, ascending and each once, of those of `labels` that are here and not deleted."""
        slots, is_known = self._find(labels)
        known = slots[is_known]
        if not (known[1:] > known[:-1]).all():  # np.unique costs ten times the rest
            known = np.unique(known)
        return known[self.is_live[known]]

    def delete(self, labels: Labels) -> SlotArray:
        """Note these as deleted for good; returns the slots that were live until now."""
        _, is_known = self._find(labels)
        self._barred.update(labels[~is_known].tolist())
        slots = self.live_slots(labels)
        self._is_live[slots] = False
        self._live -= len(slots)
        return slots

    def strangers(self, live: Labels) -> tuple[Labels, Labels]:
        """Where these books differ from the owner's: `(labels to delete, labels to add)`."""
        mine = self.labels[self.is_live]
        return np.setdiff1d(mine, live), np.unique(live[self.is_new(live)])

    def _find(self, labels: Labels) -> tuple[SlotArray, NDArray[np.bool]]:
        """Each label's slot, and whether there is one."""
        if not self._count:
            return np.zeros(len(labels), np.int64), np.zeros(len(labels), np.bool)
        places = np.searchsorted(self.labels, labels, sorter=self._order)
        places[places == self._count] = 0
        slots = places if self._order is None else self._order[places]
        return slots, self.labels[slots] == labels

    def _reserve(self, count: int) -> None:
        room = len(self._labels)
        if count > room:
            room = max(count, 2 * room)
            self._labels = np.concatenate([self.labels, np.empty(room - self._count, np.uint64)])
            self._is_live = np.concatenate([self.is_live, np.empty(room - self._count, np.bool)])
