"""Results of earlier searches, good until the collection's next write."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["ResultCache"]

T = TypeVar("T")


class ResultCache(Generic[T]):
    """The least recently used go first. A write makes a new version, and every entry is gone.

    Any thread may use it.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._lock = threading.Lock()
        self._size_bytes = 0
        self._version = 0
        self._entries: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()

    def get(self, version: int, key: Hashable) -> T | None:
        """The result of an equal search of this version."""
        with self._lock:
            if version != self._version or key not in self._entries:
                return None
            self._entries.move_to_end(key)
            return self._entries[key][0]

    def put(self, version: int, key: Hashable, result: T, size_bytes: int) -> None:
        """Keep a result that was read from `version`; an older one than the newest is not kept."""
        with self._lock:
            if version < self._version or size_bytes > self._budget_bytes:
                return
            if version > self._version:
                self._entries.clear()
                self._size_bytes, self._version = 0, version
            self._size_bytes += size_bytes - self._entries.pop(key, (None, 0))[1]
            self._entries[key] = (result, size_bytes)
            while self._size_bytes > self._budget_bytes:
                _, (_, freed) = self._entries.popitem(last=False)
                self._size_bytes -= freed
