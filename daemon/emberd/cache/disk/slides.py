"""A sliding TTL across restarts: which rows were read so late that their date must be renewed."""

from __future__ import annotations

import threading
from collections.abc import Iterable

__all__ = ["Slides"]

# A slide by less than this share of the TTL lives in RAM alone.
_SHARE = 8
_MOST = 65_536


class Slides:
    """Collects rows on reading threads; the writer takes them when it has time."""

    def __init__(self, ttl_s: float) -> None:
        self._least_s = ttl_s / _SHARE
        self._lock = threading.Lock()
        self._rowids: dict[str, set[int]] = {}
        self._count = 0

    def note(self, namespace: str, hits: Iterable[tuple[int, int]], now: float) -> None:
        """`hits` are row ids and creation times."""
        late = {rowid for rowid, created in hits if now - created >= self._least_s}
        if not late or self._count >= _MOST:
            return
        with self._lock:
            known = self._rowids.setdefault(namespace, set())
            self._count -= len(known)
            known |= late
            self._count += len(known)

    def take(self) -> dict[str, list[int]]:
        """What was collected since the last call, row ids in order."""
        with self._lock:
            taken, self._rowids, self._count = self._rowids, {}, 0
        return {namespace: sorted(rowids) for namespace, rowids in taken.items()}
