"""Which of the threads that wait on one socket reads for all of them."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import AbstractContextManager
from typing import Any, Final

__all__ = ["Sleeper", "Turns", "is_mine"]

_FOR_EVER: Final = -1.0


def is_mine(lock: Any) -> bool:
    """Whether this thread holds the RLock; threading.Condition asks the same way."""
    held: bool = lock._is_owned()
    return held


class Sleeper:
    """What one thread waits for: a reply, of any kind but None."""

    __slots__ = ("gate", "reply")

    def __init__(self) -> None:
        self.reply: Any = None
        self.gate: threading.Lock | None = None  # locked while its thread sleeps

    def wake(self) -> None:
        """Wake its thread if that sleeps. The caller holds the mutex."""
        if self.gate is not None and self.gate.locked():
            self.gate.release()


class Turns:
    """At most one thread leads; when it resigns, the next in line is woken to lead.

    `mutex` guards this and whatever the sleepers wait for. There is no Condition: Ctrl-C in its
    wait can return without the mutex that the caller then releases.
    """

    def __init__(self, mutex: AbstractContextManager[Any]) -> None:
        self._mutex = mutex
        self._line: deque[Sleeper] = deque()
        self.leader: int | None = None
        """The ident of the thread that reads."""

    def lead(self) -> bool:
        """Become the leader, unless there is one."""
        with self._mutex:
            if self.leader is not None:
                return False
            self.leader = threading.get_ident()
            return True

    def resign(self) -> None:
        """Let another one lead."""
        with self._mutex:
            self.hand_over()

    def hand_over(self) -> None:
        """The same, for who holds the mutex."""
        self.leader = None
        self._wake_next()

    def follow(self, sleeper: Sleeper, timeout_s: float | None) -> bool:
        """Sleep until the reply is there or nobody leads. False after the timeout."""
        gate = threading.Lock()
        gate.acquire()
        with self._mutex:
            if self.leader is None or sleeper.reply is not None:
                return True
            sleeper.gate = gate
            self._line.append(sleeper)
        is_awake = False
        try:
            is_awake = gate.acquire(timeout=_FOR_EVER if timeout_s is None else timeout_s)
        finally:
            self.leave(sleeper, is_leading_next=is_awake and sleeper.reply is None)
        return is_awake

    def leave(self, sleeper: Sleeper, *, is_leading_next: bool = False) -> None:
        """Stand in line no more; a lead that was offered goes to the next."""
        with self._mutex:
            sleeper.gate = None
            if sleeper in self._line:
                self._line.remove(sleeper)
            if not is_leading_next:
                self._wake_next()

    def _wake_next(self) -> None:
        if self._line and self.leader is None:
            self._line[0].wake()
