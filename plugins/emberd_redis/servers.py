"""Which server has which name: one server, or the primaries of a cluster.

redis-py's own cluster client sends every command of a pipeline again, one by one, when a server
does not answer: 1,000 timeouts for one slow server. So slots are looked up here, each server gets
its commands in one pipeline, and what has moved is sent once more to where it is.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from emberd.errors import CacheUnavailableError
from emberd_redis.library import errors, explain, key_slot
from emberd_redis.nodes import Command, Node
from emberd_redis.settings import RedisSettings

__all__ = ["Servers"]

_SEEDS = 3  # asked at most for the map: one that is away costs a timeout


@dataclass(frozen=True, slots=True)
class _Map:
    """Who serves what; `by_slot` is empty where there is no cluster."""

    primaries: list[Node]
    by_slot: dict[int, Node] = field(default_factory=dict)

    def split(self, commands: Sequence[Command]) -> dict[Node, list[int]]:
        """The places of each server's commands."""
        if not self.by_slot:
            return {self.primaries[0]: list(range(len(commands)))}
        parts: dict[Node, list[int]] = {}
        for place, (_, name, *_) in enumerate(commands):
            node = self.by_slot.get(key_slot(name), self.primaries[0])  # type: ignore[arg-type]
            parts.setdefault(node, []).append(place)
        return parts


class Servers:
    """Safe from any thread. Every method raises CacheUnavailableError."""

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings
        self._seed = Node(settings)
        self._nodes: dict[str, Node] = {}
        self._map: _Map | None = None
        self._lock = threading.Lock()
        self._is_closed = False

    @property
    def address(self) -> str:
        """Of the server that the settings name."""
        return self._seed.address

    @property
    def is_cluster(self) -> bool:
        """As far as known: nobody was asked before the first command."""
        return self._map is not None and bool(self._map.by_slot)

    def primaries(self) -> list[Node]:
        """The servers that between them have every name."""
        return self._known().primaries

    def get(self, names: Sequence[bytes]) -> list[Any]:
        """One value, None or ResponseError a name."""
        known = self._known()
        if known.by_slot:
            return self.run([("GET", name) for name in names])
        return list(known.primaries[0].mget(names))

    def run(self, commands: Sequence[Command], *, is_write: bool = False) -> list[Any]:
        """One answer a command, in order; a server gets its commands in order, too."""
        known = self._known()
        answers: list[Any] = [None] * len(commands)
        self._send(known, commands, range(len(commands)), answers, is_write)
        moved = [at for at, answer in enumerate(answers) if isinstance(answer, errors.MovedError)]
        if moved and known.by_slot:
            self._forget(known)
            self._send(self._known(), commands, moved, answers, is_write)
        return answers

    def close(self) -> None:
        """Close all connections; what comes later is refused. A second call does nothing."""
        self._is_closed = True
        for node in (self._seed, *self._nodes.values()):
            node.close()

    def _send(
        self,
        known: _Map,
        commands: Sequence[Command],
        places: Sequence[int],
        answers: list[Any],
        is_write: bool,
    ) -> None:
        for node, parts in known.split([commands[place] for place in places]).items():
            at = [places[part] for part in parts]
            try:
                found = node.run([commands[place] for place in at], is_write=is_write)
            except CacheUnavailableError:
                self._forget(known)  # another server may have taken over
                raise
            for place, answer in zip(at, found, strict=True):
                answers[place] = answer

    def _known(self) -> _Map:
        known = self._map
        if known is not None and not self._is_closed:
            return known
        with self._lock:
            if self._is_closed:
                raise CacheUnavailableError("The redis tier is closed.")
            if self._map is None:
                self._map = self._find()
            return self._map

    def _forget(self, known: _Map) -> None:
        with self._lock:
            if self._map is known and known.by_slot:
                self._map = None

    def _find(self) -> _Map:
        if self._settings.cluster is False:
            return _Map([self._seed])
        others = [node for node in self._nodes.values() if node.address != self._seed.address]
        failure = CacheUnavailableError(f"Redis at {self.address} cannot be reached.")
        for node in [self._seed, *others][:_SEEDS]:
            try:
                return self._map_of(node)
            except CacheUnavailableError as exc:
                failure = exc
        raise failure

    def _map_of(self, node: Node) -> _Map:
        try:
            ranges = node.ask("CLUSTER SLOTS")
        except CacheUnavailableError as exc:
            refused = isinstance(exc.__cause__, errors.ResponseError)
            if refused and self._settings.cluster == "auto":
                return _Map([self._seed])  # "cluster support disabled", or no right to ask
            raise
        by_slot: dict[int, Node] = {}
        for first, last, (host, port, *_), *_ in ranges:
            # An empty host is the one that was asked.
            primary = self._node((host or b"").decode() or node.host, port)
            by_slot.update(dict.fromkeys(range(first, last + 1), primary))
        if not by_slot:
            refusal = errors.ClusterDownError("no server has a slot")
            raise CacheUnavailableError(explain(refusal, node.address))
        return _Map(list(dict.fromkeys(by_slot.values())), by_slot)

    def _node(self, host: str, port: int) -> Node:
        address = f"{host}:{port}"
        if address not in self._nodes:
            self._nodes[address] = Node(self._settings, (host, port))
        return self._nodes[address]
