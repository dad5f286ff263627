"""A tier below memory as the chain sees it: asked on its own threads, within a time, behind a
breaker, and believed only as far as a value's length can be checked."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import msgspec

from emberd.cache.breaker import Breaker, BreakerLimits
from emberd.cache.write_behind import Item, WriteBehind
from emberd.plugins.abilities import Dated, Inspectable, Tenanted
from emberd.plugins.contracts import CacheTier
from emberd.telemetry.histogram import Histogram
from emberd.wire.snapshot import TierStats, WriteBehindStats

__all__ = ["Found", "LowerTier", "Notify", "SharedFile", "Sight"]

T = TypeVar("T")

Notify = Callable[[str, str, str], None]
"""Level ("info", "warning"), stable event name, message."""

# Two, so that one slow lookup does not hold up the next; a tier that hangs wedges only its own.
_THREADS = 2
_LOOKUP_S = 0.5
_LOOKUP_S_PER_KEY = 0.001
_STATS_S = 0.5
_CLOSE_S = 10.0
_READ_LIMITS = BreakerLimits(slow_s=math.inf)  # the time for a lookup grows with its keys
_WRITE_LIMITS = BreakerLimits(slow_s=10.0)  # nobody waits for a write


@dataclass(frozen=True, slots=True)
class Found:
    """A lookup's answer: one value or None a key; when each was made, where the tier knows."""

    values: list[bytes | None]
    born: list[float] | None = None


@dataclass(frozen=True, slots=True)
class Sight:
    """What one tier has of one key."""

    value: bytes | None = None
    born: float | None = None
    """Unix seconds, where the tier knows."""
    message: str = ""
    """Why it could not be asked."""


@dataclass(frozen=True, slots=True)
class SharedFile:
    """A tier's file, as another process can map it."""

    folder: Path
    map_bytes: int


@runtime_checkable
class Mapped(Protocol):
    """What the tier of our own offers beside: a file that others may read."""

    def mapping(self) -> SharedFile | None:
        """None while it is not open."""
        ...

    def touch(self, rowids: Sequence[int]) -> None:
        """These rows were read there; unknown ids are left out."""
        ...


class LowerTier:
    """Owned by the event loop; the tier itself is only called on worker threads."""

    def __init__(
        self,
        tier: CacheTier,
        *,
        commit_s: float,
        notify: Notify,
        limits: BreakerLimits = _READ_LIMITS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = tier.name
        self.tenants: dict[str, tuple[int, int]] | None = None
        self._tier = tier
        self._notify = notify
        self._clock = clock
        self._limits = limits
        self._breaker = Breaker(clock, limits)
        self._writer = WriteBehind(tier, Breaker(clock, _WRITE_LIMITS), commit_s=commit_s)
        self._pool = ThreadPoolExecutor(_THREADS, f"cache-{tier.name}")
        self._lookups = Histogram()
        self._figures = TierStats(name=tier.name, kind=type(tier).__name__)
        self._refreshing: asyncio.Future[None] | None = None
        self._hits = self._misses = self._errors = self._garbage = 0
        self._mapped = tier if isinstance(tier, Mapped) else None
        self._direct = 0

    async def start(self) -> None:
        self._writer.start()
        await self.refresh()

    async def lookup(self, namespace: str, keys: Sequence[bytes], value_size: int) -> Found:
        """Ask the tier; whatever goes wrong is a miss for every key."""
        was_tripped = self._breaker.is_tripped
        found = await self._ask(namespace, keys, value_size)
        hits = len(keys) - found.values.count(None)
        self._hits += hits
        self._misses += len(keys) - hits
        if self._breaker.is_tripped != was_tripped:
            self._tell_change()
        return found

    async def peek(self, namespace: str, key: bytes, value_size: int) -> Sight:
        """What the tier has; counts nothing and promotes nothing. Raises nothing."""
        if self._breaker.is_tripped:
            return Sight(message=self._breaker.reason)
        try:
            async with asyncio.timeout(_LOOKUP_S):
                value, born = await self._on_thread(lambda: self._look(namespace, key))
        except TimeoutError:
            return Sight(message="no answer in time")
        except Exception as exc:  # any tier, any fault
            return Sight(message=str(exc) or type(exc).__name__)
        is_right = type(value) is bytes and len(value) == value_size
        return Sight(value, born) if is_right else Sight()

    def mapping(self) -> SharedFile | None:
        """See Mapped."""
        return None if self._mapped is None else self._mapped.mapping()

    def note_direct(self, hits: int, rowids: Sequence[int]) -> None:
        """Others read these rows, with so many hits."""
        self._hits += hits
        self._direct += hits
        if self._mapped is not None:
            self._mapped.touch(rowids)

    def offer(self, namespace: str, items: Sequence[Item]) -> None:
        """Queue `(key, value)` pairs for writing."""
        self._writer.offer(namespace, items)

    async def clear(self, namespace: str | None) -> int:
        """Forget a namespace, or everything, with what is queued for it. Raises what the tier
        raises."""
        self._writer.forget(namespace)
        count = await asyncio.wrap_future(
            self._writer.run_after(lambda: self._tier.clear(namespace))
        )
        await self.refresh()
        return count

    async def flush(self) -> None:
        """Return when all that is queued has been written, or was refused by the tier."""
        await asyncio.wrap_future(self._writer.run_after(lambda: None))
        await self.refresh()

    async def close(self) -> None:
        """Flush, close the tier and let go of the threads; one that hangs is left behind."""
        await asyncio.to_thread(self._writer.close, _CLOSE_S)
        with suppress(Exception):
            async with asyncio.timeout(_CLOSE_S):
                await self._on_thread(self._tier.close)
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def refresh(self) -> None:
        """Fetch the tier's own figures, if it answers soon."""
        self.refresh_soon()
        if self._refreshing is not None:
            await asyncio.wait([self._refreshing], timeout=_STATS_S)

    def refresh_soon(self) -> None:
        """Fetch them for the next time: a tier's `stats` may block, so never on the loop."""
        if self._refreshing is None or self._refreshing.done():
            with suppress(RuntimeError):  # closed: the last figures stay
                self._refreshing = self._on_thread(self._fetch_figures)

    def stats(self) -> TierStats:
        """The tier's figures as last fetched, with what the chain has counted."""
        is_tripped = self._breaker.is_tripped and self._figures.state == "ok"
        return msgspec.structs.replace(
            self._figures,
            name=self.name,
            state="tripped" if is_tripped else self._figures.state,
            message=self._breaker.reason if is_tripped else self._figures.message,
            hits=self._hits,
            misses=self._misses,
            direct=self._direct,
            corrupt=self._figures.corrupt + self._garbage,
            errors=max(self._figures.errors, self._errors + self._writer.errors),
            lookup=self._lookups.take(),
        )

    def write_stats(self) -> WriteBehindStats:
        return self._writer.stats()

    async def _ask(self, namespace: str, keys: Sequence[bytes], value_size: int) -> Found:
        nothing = Found([None] * len(keys))
        if not self._breaker.allows():
            return nothing
        started = self._clock()
        try:
            async with asyncio.timeout(_LOOKUP_S + _LOOKUP_S_PER_KEY * len(keys)):
                found = await self._on_thread(lambda: self._read(namespace, keys))
            self._weed(found, len(keys), value_size)
        except Exception as exc:  # any tier, any fault: a miss
            self._errors += 1
            self._breaker.failed(str(exc) or type(exc).__name__)
            return nothing
        seconds = self._clock() - started
        self._lookups.record(seconds)
        self._breaker.succeeded(seconds)
        return found

    def _look(self, namespace: str, key: bytes) -> tuple[bytes | None, float | None]:
        if isinstance(self._tier, Inspectable):
            return self._tier.peek(namespace, key)
        found = self._read(namespace, [key])
        return found.values[0], None if found.born is None else found.born[0]

    def _read(self, namespace: str, keys: Sequence[bytes]) -> Found:
        if isinstance(self._tier, Dated):
            return Found(*self._tier.get_many_dated(namespace, keys))
        return Found(self._tier.get_many(namespace, keys))

    def _weed(self, found: Found, count: int, value_size: int) -> None:
        """Values that cannot be right become misses; a wrong number of them is an error."""
        born = count if found.born is None else len(found.born)
        if not isinstance(found.values, list) or not len(found.values) == born == count:
            raise ValueError(f"{self.name} did not answer with one entry a key")
        for place, value in enumerate(found.values):
            if value is not None and not (type(value) is bytes and len(value) == value_size):
                found.values[place] = None
                self._garbage += 1

    def _on_thread(self, run: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._pool, run)

    def _fetch_figures(self) -> None:
        try:
            self._figures = self._tier.stats()
            if isinstance(self._tier, Tenanted):
                self.tenants = self._tier.namespaces()
        except Exception:  # the figures stay as they were; the count of errors shows it
            self._errors += 1

    def _tell_change(self) -> None:
        if self._breaker.is_tripped:
            reason = self._breaker.reason
            self._notify("warning", "cache.tier_tripped", f"{self.name}: {reason}")
        else:
            self._notify("info", "cache.tier_recovered", f"{self.name} answers again")
