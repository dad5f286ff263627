"""Deletions that a checkpoint may not hold yet, to be made again after a worker was lost."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Deletions"]


class Deletions:
    """Two checkpoints are kept, and the older may be the one that is loaded."""

    def __init__(self) -> None:
        self._since_newest: list[NDArray[np.uint64]] = []
        self._since_older: list[NDArray[np.uint64]] = []

    def note(self, labels: NDArray[np.uint64]) -> None:
        """These are being deleted."""
        if len(labels):
            self._since_newest.append(labels.copy())

    @property
    def mark(self) -> int:
        """Where the list ends now, for `saved`."""
        return len(self._since_newest)

    def saved(self, mark: int) -> None:
        """A new checkpoint holds what was noted up to `mark`."""
        self._since_older = self._since_newest[:mark]
        self._since_newest = self._since_newest[mark:]

    def clear(self) -> None:
        """The graph is empty and has no checkpoint."""
        self._since_newest, self._since_older = [], []

    def all(self) -> NDArray[np.uint64]:
        """Labels to delete again."""
        return np.concatenate([np.empty(0, np.uint64), *self._since_older, *self._since_newest])
