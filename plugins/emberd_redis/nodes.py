"""A Redis server and its connections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from emberd_redis.library import NoBackoff, Retry, redis, translated
from emberd_redis.settings import RedisSettings

__all__ = ["Command", "Node"]

Command: TypeAlias = tuple[str | bytes | int, ...]
"""A command's name, the one name in Redis that it is about, and more."""

_GROUP = 512  # of a pipeline: with values of 1 KiB half a MiB, so that no answer takes long


class Node:
    """One server; safe from any thread, and connected when first asked.

    Two pools: of readers, which a request waits for, and of writers, which have time. Every method
    raises CacheUnavailableError; nothing is tried twice, as the chain's breaker decides that.
    """

    def __init__(self, settings: RedisSettings, address: tuple[str, int] | None = None) -> None:
        """The server of `settings.url`, or with the same access the one at `address`."""
        self._readers = _client(settings, address, settings.timeout_ms)
        self._writers = _client(settings, address, settings.write_timeout_ms)
        found = self._readers.connection_pool.connection_kwargs
        self.host: str = found.get("host", "")
        self.address: str = found.get("path") or f"{self.host}:{found.get('port', 6379)}"

    def ask(self, *command: str | bytes | int) -> Any:
        """One command's answer, with a reader's patience."""
        with translated(self.address):
            return self._readers.execute_command(*command)  # type: ignore[no-untyped-call]

    def mget(self, names: Sequence[bytes]) -> list[bytes | None]:
        """The values of these names; of a cluster's server the names must share a slot."""
        found: list[bytes | None] = []
        for start in range(0, len(names), _GROUP):
            found += self.ask("MGET", *names[start : start + _GROUP])
        return found

    def run(self, commands: Sequence[Command], *, is_write: bool = False) -> list[Any]:
        """The commands' answers, in order; one that the server refused is a ResponseError."""
        client = self._writers if is_write else self._readers
        answers: list[Any] = []
        for start in range(0, len(commands), _GROUP):
            pipeline = client.pipeline(transaction=False)
            for command in commands[start : start + _GROUP]:
                pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
            with translated(self.address):
                answers += pipeline.execute(raise_on_error=False)
        return answers

    def close(self) -> None:
        for client in (self._readers, self._writers):
            client.connection_pool.disconnect()


def _client(
    settings: RedisSettings, address: tuple[str, int] | None, timeout_ms: int
) -> redis.Redis:
    pool = redis.ConnectionPool.from_url(
        settings.url,
        username=settings.username or None,
        password=settings.password or None,
        socket_timeout=timeout_ms / 1_000,
        socket_connect_timeout=settings.connect_timeout_ms / 1_000,
        retry=Retry(NoBackoff(), 0),
    )
    if address is not None:
        host, port = address
        options = {**pool.connection_kwargs, "host": host, "port": port}
        pool = redis.ConnectionPool(pool.connection_class, **options)
    return redis.Redis(connection_pool=pool)
