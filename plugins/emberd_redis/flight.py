"""Single flight between machines: who finds a text missing takes a lock, others wait for it.

A tier is not told when a text is computed, only that its value is set. So a lock is taken for each
key that a lookup misses, ends with `set_many` or by itself, and belongs to the machine: a second
lookup there does not wait for its own.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from emberd_redis.keys import Names
from emberd_redis.nodes import Command
from emberd_redis.sealed import Record
from emberd_redis.servers import Servers

__all__ = ["Flight"]

_POLL_S = 0.005
_LONGEST_POLL_S = 0.04

Open = Callable[[Sequence[bytes], Sequence[object]], dict[bytes, Record]]
"""The good records among what Redis answered for these names."""


@dataclass(frozen=True, slots=True)
class _Claim:
    found: dict[bytes, Record]
    waiting: list[bytes]
    """Others have their locks."""
    has_work: bool
    """This machine has some of the locks, and others may wait for it."""


class Flight:
    """Safe from any thread. `wait_s` must end before the chain gives up a lookup (0.5 s).

    One lookup waits at a time: the chain has two threads for a tier, and the other stays free.
    """

    def __init__(
        self, servers: Servers, open_records: Open, *, wait_s: float, lock_ms: int
    ) -> None:
        self.waits = self.spared = 0
        self._servers = servers
        self._open = open_records
        self._wait_s = wait_s
        self._lock_ms = lock_ms
        self._owner = os.urandom(8).hex().encode()
        self._turn = threading.Lock()
        self._closing = threading.Event()

    def settle(self, missing: Sequence[bytes]) -> dict[bytes, Record]:
        """What others have computed by now; for the rest this machine has the locks, or has waited
        long enough. Raises CacheUnavailableError."""
        claim = self._claim(sorted(set(missing)))
        found = claim.found
        if claim.waiting and self._turn.acquire(blocking=False):
            try:
                found |= self._wait(claim)
            finally:
                self._turn.release()
        return found

    def release(self, name: bytes) -> Command:
        """To be sent after the command that sets the value."""
        return ("UNLINK", Names.lock(name))

    def close(self) -> None:
        """Nobody waits any longer."""
        self._closing.set()

    def _wait(self, claim: _Claim) -> dict[bytes, Record]:
        found: dict[bytes, Record] = {}
        ends_at, pause_s = time.monotonic() + self._wait_s, _POLL_S
        self.waits += 1
        while claim.waiting and not self._closing.wait(pause_s) and time.monotonic() < ends_at:
            claim = self._claim(claim.waiting, has_work=claim.has_work)
            found |= claim.found
            pause_s = min(2 * pause_s, _LONGEST_POLL_S)
        self.spared += len(found)
        return found

    def _claim(self, names: Sequence[bytes], *, has_work: bool = False) -> _Claim:
        """Take the locks that are free, and look again for the values.

        Sorted names give one of two machines with the same texts all the locks. Where each got
        some, only the one with the larger id waits: never both, each for the other.
        """
        commands: list[Command] = []
        for name in names:
            lock = Names.lock(name)
            commands.append(("SET", lock, self._owner, "NX", "PX", self._lock_ms))
            commands += [("GET", lock), ("GET", name)]
        answers = self._servers.run(commands)
        found = self._open(names, answers[2::3])
        # A lock that cannot be had (a full Redis refuses it) has no owner, and is not waited for.
        owners = {
            name: owner
            for name, owner in zip(names, answers[1::3], strict=True)
            if name not in found and isinstance(owner, bytes)
        }
        has_work = has_work or self._owner in owners.values()
        others = {name: owner for name, owner in owners.items() if owner != self._owner}
        waiting = [name for name, owner in others.items() if not has_work or owner < self._owner]
        return _Claim(found, waiting, has_work)
