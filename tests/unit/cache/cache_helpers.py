"""What the cache's tests share: a clock that stands still, keys, values and a tier in RAM."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from hashlib import blake2b

from emberd.wire.snapshot import TierStats

VALUE_BYTES = 772


class Clock:
    """Time that passes only when told to."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def key(name: object) -> bytes:
    return blake2b(repr(name).encode(), digest_size=16).digest()


def value(name: object, size: int = VALUE_BYTES) -> bytes:
    """Bytes that only this name has."""
    block = blake2b(repr(name).encode(), digest_size=64).digest()
    return (block * (size // 64 + 1))[:size]


def pairs(names: Sequence[object], size: int = VALUE_BYTES) -> list[tuple[bytes, bytes]]:
    return [(key(name), value(name, size)) for name in names]


def ram_folder() -> str | None:
    """Where files cost no disk write, if the system has such a place."""
    folder = "/dev/shm"
    return folder if os.access(folder, os.W_OK) else None


class DictTier:
    """A plain CacheTier whose faults are attributes."""

    def __init__(self, name: str = "dict") -> None:
        self.name = name
        self.held: dict[tuple[str, bytes], bytes] = {}
        self.error: Exception | None = None
        self.answer: object = None
        self.blocked: threading.Event | None = None
        self.calls: list[tuple[str, int]] = []
        self.closed = 0

    def _enter(self, method: str, count: int) -> None:
        self.calls.append((method, count))
        if self.blocked is not None:
            assert self.blocked.wait(30)
        if self.error is not None:
            raise self.error

    def get_many(self, namespace: str, keys: Sequence[bytes]) -> list[bytes | None]:
        self._enter("get", len(keys))
        if self.answer is not None:
            return self.answer  # type: ignore[return-value]
        return [self.held.get((namespace, each)) for each in keys]

    def set_many(self, namespace: str, items: Sequence[tuple[bytes, bytes]]) -> None:
        self._enter("set", len(items))
        self.held.update({(namespace, each): held for each, held in items})

    def delete_many(self, namespace: str, keys: Sequence[bytes]) -> int:
        return sum(self.held.pop((namespace, each), None) is not None for each in keys)

    def clear(self, namespace: str | None = None) -> int:
        self._enter("clear", 0)
        gone = [each for each in self.held if namespace in (None, each[0])]
        for each in gone:
            del self.held[each]
        return len(gone)

    def stats(self) -> TierStats:
        return TierStats(name=self.name, kind="dict", entries=len(self.held))

    def close(self) -> None:
        self.closed += 1
