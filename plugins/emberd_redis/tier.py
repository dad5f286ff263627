"""The tier itself: what is asked of Redis, and what of its answers is believed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from emberd.config import CacheSettings
from emberd.errors import CacheUnavailableError
from emberd.wire.snapshot import TierStats
from emberd_redis.clearing import clear
from emberd_redis.figures import Observatory
from emberd_redis.flight import Flight
from emberd_redis.keys import Names
from emberd_redis.library import check_answers, errors, is_moving
from emberd_redis.lifetime import Lifetime
from emberd_redis.nodes import Command
from emberd_redis.sealed import Record, seal, unseal
from emberd_redis.servers import Servers
from emberd_redis.settings import RedisSettings

__all__ = ["RedisTier"]


class RedisTier:
    """A CacheTier (with dates) that several machines share. Safe from any thread.

    Names are `PREFIX:NAMESPACE:KEY`, see `keys.py`. Every method but `stats` raises
    CacheUnavailableError while Redis is away or refuses; the chain's breaker and write-behind keep
    that from requests. It connects when it is first asked.
    """

    name = "redis"

    def __init__(
        self,
        settings: RedisSettings,
        cache: CacheSettings,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._servers = Servers(settings)
        self._names = Names(settings.prefix)
        self._lifetime = Lifetime.of(settings, cache)
        self._largest = settings.max_value_kib << 10
        self._clock = clock
        self._observatory = Observatory(self._servers)
        self._flight: Flight | None = None
        if settings.single_flight:
            self._flight = Flight(
                self._servers, self._open, wait_s=settings.wait_ms / 1e3, lock_ms=settings.lock_ms
            )
        self._refusal = ""
        self._expired = self._corrupt = self._errors = self._too_large = 0

    def get_many(self, namespace: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """See CacheTier. With `single_flight` it may wait for another machine's work."""
        return self.get_many_dated(namespace, keys)[0]

    def get_many_dated(
        self, namespace: str, keys: Sequence[bytes]
    ) -> tuple[list[bytes | None], list[float]]:
        """See Dated. What is not ours or is damaged is a miss."""
        names = self._names.of(namespace, keys)
        with self._counting_errors():
            found = self._open(names, self._read(names))
            if self._flight is not None and len(found) < len(set(names)):
                found |= self._flight.settle([name for name in names if name not in found])
        records = [found.get(name) for name in names]
        values = [None if record is None else record.value for record in records]
        return values, [0.0 if record is None else self._born(record) for record in records]

    def set_many(self, namespace: str, items: Sequence[tuple[bytes, bytes]]) -> None:
        """See CacheTier. Values over `max_value_kib` are dropped."""
        now = int(self._clock())
        lifetime = ("PX", self._lifetime.ttl_ms) if self._lifetime.ttl_ms else ()
        names = self._names.of(namespace, [key for key, _ in items])
        commands: list[Command] = []
        for name, (_, value) in zip(names, items, strict=True):
            if len(value) > self._largest:
                self._too_large += 1
                continue
            commands.append(("SET", name, seal(name, value, now), *lifetime))
            if self._flight is not None:
                commands.append(self._flight.release(name))
        self._write(commands)

    def delete_many(self, namespace: str, keys: Sequence[bytes]) -> int:
        """See CacheTier."""
        counts = self._write([("UNLINK", name) for name in self._names.of(namespace, keys)])
        return sum(count for count in counts if isinstance(count, int))

    def clear(self, namespace: str | None = None) -> int:
        """See CacheTier. Every name on the servers is looked at; other programs' stay."""
        with self._counting_errors():
            return sum(clear(node, self._names, namespace) for node in self._servers.primaries())

    def stats(self) -> TierStats:
        """See CacheTier. Entries and bytes are the servers', whoever wrote them.

        `tripped` means that Redis does not answer, `read_only` that it refuses what is written.
        """
        self._observatory.look()
        figures, outage = self._observatory.figures, self._observatory.outage
        state: Literal["ok", "read_only", "tripped"] = "read_only" if self._refusal else "ok"
        return TierStats(
            name=self.name,
            kind="redis cluster" if self._servers.is_cluster else "redis",
            state="tripped" if outage else state,
            message=outage or self._refusal,
            entries=figures.entries,
            size_bytes=figures.size_bytes,
            budget_bytes=figures.budget_bytes,
            evictions=figures.evictions,
            expired=figures.expired + self._expired,
            corrupt=self._corrupt,
            errors=self._errors,
        )

    def statistics(self) -> Mapping[str, int | float | str]:
        """See StatisticsSource."""
        found: dict[str, int | float | str] = {
            "server": self._servers.address,
            "too_large": self._too_large,
        }
        if self._flight is not None:
            found |= {"waits": self._flight.waits, "spared": self._flight.spared}
        return found

    def close(self) -> None:
        """See CacheTier."""
        if self._flight is not None:
            self._flight.close()
        self._servers.close()

    def _read(self, names: Sequence[bytes]) -> list[Any]:
        if not self._lifetime.slides or not self._lifetime.ttl_ms:
            return self._servers.get(names)
        return self._servers.run([("GETEX", name, "PX", self._lifetime.ttl_ms) for name in names])

    def _write(self, commands: Sequence[Command]) -> list[Any]:
        with self._counting_errors():
            answers = self._servers.run(commands, is_write=True)
            try:
                check_answers(answers, self._servers.address)
            except CacheUnavailableError as exc:
                self._refusal = exc.message
                raise
        self._refusal = ""
        return answers

    def _open(self, names: Sequence[bytes], answers: Sequence[object]) -> dict[bytes, Record]:
        """The good records by name. Raises CacheUnavailableError where reading was refused."""
        found: dict[bytes, Record] = {}
        for name, answer in zip(names, answers, strict=True):
            if answer is None or is_moving(answer) or name in found:
                continue
            record = unseal(name, answer) if isinstance(answer, bytes) else None
            if record is not None and self._is_too_old(record):
                self._expired += 1
            elif record is not None:
                found[name] = record
            elif isinstance(answer, errors.ResponseError) and "WRONGTYPE" not in str(answer):
                check_answers([answer], self._servers.address)
            else:
                self._corrupt += 1
        return found

    def _is_too_old(self, record: Record) -> bool:
        longest_s = self._lifetime.longest_age_s
        return longest_s > 0 and self._clock() - record.created > longest_s

    def _born(self, record: Record) -> float:
        return self._clock() if self._lifetime.slides else float(record.created)

    @contextmanager
    def _counting_errors(self) -> Iterator[None]:
        try:
            yield
        except CacheUnavailableError:
            self._errors += 1
            raise
