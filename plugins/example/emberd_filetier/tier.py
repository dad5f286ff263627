"""The cache tier: an index in memory over the records of the file."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from emberd.wire.snapshot import TierStats

from emberd_filetier.records import Place, RecordFile

__all__ = ["FileTier"]

_WORTH_COMPACTING = 1 << 16


class FileTier:
    """See `emberd.plugins.CacheTier`. The daemon calls it from several threads at once."""

    name = "filetier"

    def __init__(self, path: Path, budget_bytes: int) -> None:
        """Open the file and read it through. Raises OSError and ValueError."""
        self._budget = budget_bytes
        self._lock = threading.Lock()
        self._places: dict[tuple[str, bytes], Place] = {}  # oldest first
        self._live_bytes = self._damaged = self._evicted = self._compactions = 0
        self._is_closed = False
        self._file = RecordFile(path)
        for place, record in self._file.scan():
            if record is None:
                self._damaged += 1
            else:
                namespace, key, value = record
                self._forget(namespace, key)
                if value is not None:
                    self._keep(namespace, key, place)

    def get_many(self, namespace: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """One entry a key, in the order asked; None for a miss."""
        with self._lock:
            self._check_open()
            return [self._get(namespace, key) for key in keys]

    def set_many(self, namespace: str, items: Sequence[tuple[bytes, bytes]]) -> None:
        """Append the values; one that would take half of the budget is left out."""
        with self._lock:
            self._check_open()
            for key, value in items:
                if len(value) < self._budget // 2:
                    place = self._file.append(namespace, key, value)
                    self._forget(namespace, key)
                    self._keep(namespace, key, place)
                else:
                    self._drop(namespace, key)
            self._tidy()

    def delete_many(self, namespace: str, keys: Sequence[bytes]) -> int:
        """Forget these keys; returns how many were there."""
        with self._lock:
            self._check_open()
            count = sum(self._drop(namespace, key) for key in keys)
            self._tidy()
            return count

    def clear(self, namespace: str | None = None) -> int:
        """Forget a namespace, or everything; returns the number of records."""
        with self._lock:
            self._check_open()
            doomed = [each for each in self._places if namespace in (None, each[0])]
            if len(doomed) == len(self._places):
                self._places.clear()
                self._live_bytes = 0
                self._file.reset()
            for each in doomed:
                self._drop(*each)
            self._tidy()
            return len(doomed)

    def stats(self) -> TierStats:
        """Figures for `emberd cache stats` and the dashboard."""
        with self._lock:
            return TierStats(
                name=self.name,
                kind="file",
                entries=len(self._places),
                size_bytes=self._file.size,
                budget_bytes=self._budget,
                evictions=self._evicted,
                corrupt=self._damaged,
            )

    def statistics(self) -> Mapping[str, int | float | str]:
        """Figures for `emberd plugins info filetier`."""
        with self._lock:
            dead_bytes = self._file.size - self._live_bytes
            return {"dead_bytes": dead_bytes, "compactions": self._compactions}

    def close(self) -> None:
        """Let go of the file. A second call does nothing."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._file.close()

    # -- what follows is called with the lock held ----------------------------------------

    def _check_open(self) -> None:
        if self._is_closed:
            raise ValueError("the tier is closed")

    def _get(self, namespace: str, key: bytes) -> bytes | None:
        place = self._places.get((namespace, key))
        if place is None:
            return None
        record = self._file.read(place)
        if record is None or record[:2] != (namespace, key):
            self._damaged += 1
            self._forget(namespace, key)
            return None
        return record[2]

    def _keep(self, namespace: str, key: bytes, place: Place) -> None:
        self._places[namespace, key] = place
        self._live_bytes += place.size

    def _forget(self, namespace: str, key: bytes) -> bool:
        place = self._places.pop((namespace, key), None)
        self._live_bytes -= place.size if place else 0
        return place is not None

    def _drop(self, namespace: str, key: bytes) -> bool:
        """Forget a key here and in the file, whose older record would come back else."""
        was_there = self._forget(namespace, key)
        if was_there:
            self._file.append(namespace, key, None)
        return was_there

    def _tidy(self) -> None:
        """Keep the budget, and at least half of the file alive."""
        if self._file.size > self._budget:
            while self._live_bytes > self._budget // 2:
                self._forget(*next(iter(self._places)))
                self._evicted += 1
        is_half_dead = self._live_bytes < self._file.size // 2
        if self._file.size > self._budget or (is_half_dead and self._file.size > _WORTH_COMPACTING):
            self._compact()

    def _compact(self) -> None:
        path = self._file.path
        path.with_suffix(".new").unlink(missing_ok=True)
        fresh = RecordFile(path.with_suffix(".new"))
        places = {}
        try:
            for (namespace, key), place in self._places.items():
                record = self._file.read(place)
                if record is not None:
                    places[namespace, key] = fresh.append(*record)
            fresh.replace(path)
        except BaseException:  # no space, for example: the old file goes on serving
            fresh.close()
            raise
        self._file.close()
        self._file, self._places = fresh, places
        self._live_bytes = sum(place.size for place in places.values())
        self._compactions += 1
