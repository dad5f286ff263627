"""A plugin's cache tier as the cache gets it: guarded, and believed only where its values check.

Each value is kept with a checksum over the key and the value, so that a tier which mixes up keys,
or whose store lost bits, causes misses and never a wrong vector.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from emberd.errors import PluginFailedError
from emberd.plugins.abilities import Dated, Inspectable, Maintained, Tenanted
from emberd.plugins.contracts import CacheTier
from emberd.plugins.faults import contained
from emberd.plugins.guard import Guard
from emberd.wire.snapshot import TierStats

__all__ = ["GuardedTier"]

T = TypeVar("T")

_SUM_BYTES = 4


class GuardedTier:
    """A CacheTier with the optional abilities of the one inside.

    While the guard is inactive lookups miss and writes go nowhere; forgetting still happens, as
    what was asked to be forgotten must not come back with the tier. Whatever the tier raises goes
    on as an Exception. Called from several threads, as any tier.
    """

    def __init__(self, tier: CacheTier, guard: Guard) -> None:
        self.name = tier.name
        self._tier = tier
        self._guard = guard
        self._is_closed = False
        # On the instance, as the cache asks which of them are there.
        if isinstance(tier, Dated):
            self.get_many_dated = self._get_many_dated
        if isinstance(tier, Inspectable):
            self.peek = self._peek
        if isinstance(tier, Maintained):
            self.maintain = self._maintain
        if isinstance(tier, Tenanted):
            self.namespaces = self._namespaces

    def get_many(self, namespace: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """See CacheTier."""
        if not self._guard.is_active:
            return [None] * len(keys)
        with self._guard.watch():
            values = self._tier.get_many(namespace, keys)
            self._check_length("get_many", values, keys)
        return self._checked(keys, values)

    def set_many(self, namespace: str, items: Sequence[tuple[bytes, bytes]]) -> None:
        """See CacheTier."""
        if self._guard.is_active:
            sealed = [(key, value + _sum_of(key, value)) for key, value in items]
            with self._guard.watch():
                self._tier.set_many(namespace, sealed)

    def delete_many(self, namespace: str, keys: Sequence[bytes]) -> int:
        """See CacheTier."""
        with self._guard.watch():
            return _count(self._tier.delete_many(namespace, keys))

    def clear(self, namespace: str | None = None) -> int:
        """See CacheTier."""
        with self._guard.watch():
            return _count(self._tier.clear(namespace))

    def stats(self) -> TierStats:
        """See CacheTier; `tripped` or `off` while the guard is inactive."""
        if not self._guard.is_active:
            return TierStats(
                name=self.name,
                kind="plugin",
                state="tripped" if self._guard.is_tripped else "off",
                message=self._guard.message,
            )
        figures: object = self._uncounted(self._tier.stats)
        if not isinstance(figures, TierStats):
            self._guard.failed("stats() did not answer with TierStats")
            raise PluginFailedError(f"The tier {self.name!r} did not answer with TierStats.")
        return figures

    def close(self) -> None:
        """See CacheTier."""
        if not self._is_closed:
            self._is_closed = True
            self._uncounted(self._tier.close)

    def _get_many_dated(
        self, namespace: str, keys: Sequence[bytes]
    ) -> tuple[list[bytes | None], list[float]]:
        if not self._guard.is_active:
            return [None] * len(keys), [0.0] * len(keys)
        with self._guard.watch():
            values, dates = self._tier.get_many_dated(namespace, keys)  # type: ignore[attr-defined]
            self._check_length("get_many_dated", values, keys)
            self._check_length("get_many_dated", dates, keys)
        return self._checked(keys, values), dates

    def _peek(self, namespace: str, key: bytes) -> tuple[bytes | None, float | None]:
        if not self._guard.is_active:
            return None, None
        with self._guard.watch():
            value, born = self._tier.peek(namespace, key)  # type: ignore[attr-defined]
        (opened,) = self._checked([key], [value])
        return opened, born

    def _maintain(self) -> None:
        if self._guard.is_active:
            self._uncounted(self._tier.maintain)  # type: ignore[attr-defined]

    def _namespaces(self) -> dict[str, tuple[int, int]]:
        if not self._guard.is_active:
            return {}
        held: dict[str, tuple[int, int]] = self._uncounted(
            self._tier.namespaces  # type: ignore[attr-defined]
        )
        return held

    def _check_length(self, method: str, found: Any, keys: Sequence[bytes]) -> None:
        if not isinstance(found, list) or len(found) != len(keys):
            answer = f"{len(found)} entries" if isinstance(found, list) else type(found).__name__
            raise PluginFailedError(
                f"{self.name}.{method} answered with {answer} for {len(keys)} keys; "
                "one entry a key is right."
            )

    def _checked(self, keys: Sequence[bytes], values: list[Any]) -> list[bytes | None]:
        """The values without their checksums; one that does not match its key is a miss."""
        found: list[bytes | None] = []
        wrong = 0
        for key, sealed in zip(keys, values, strict=True):
            value = None if sealed is None else _opened(key, sealed)
            wrong += value is None and sealed is not None
            found.append(value)
        if wrong:
            self._guard.failed(
                f"{wrong} of {len(keys)} values of the tier {self.name} are not what was set"
            )
        return found

    def _uncounted(self, work: Callable[[], T]) -> T:
        """What the daemon does for its own sake is no call of a user; an error still counts."""
        try:
            return work()
        except BaseException as exc:
            error = contained(exc)
            self._guard.failed(str(error))
            raise error from exc


def _sum_of(key: bytes, value: bytes) -> bytes:
    return zlib.crc32(value, zlib.crc32(key)).to_bytes(_SUM_BYTES, "little")


def _opened(key: bytes, sealed: Any) -> bytes | None:
    if type(sealed) is not bytes or len(sealed) < _SUM_BYTES:
        return None
    value = sealed[:-_SUM_BYTES]
    return value if sealed[-_SUM_BYTES:] == _sum_of(key, value) else None


def _count(answer: Any) -> int:
    if not isinstance(answer, int):
        raise PluginFailedError("a cache tier must answer with the number of records it forgot")
    return answer
