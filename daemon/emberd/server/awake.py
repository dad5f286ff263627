"""The event loop's thread between two requests: awake for a moment, on a processor of its own.

Who asks for one thing after another is back within some 50 us. A thread that sleeps by then is
woken some 20 us later, 60 in a virtual machine, which is longer than a cached text takes.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["Awake", "Place", "move_elsewhere", "processor"]

# Giving way takes 0.6 us where no other thread wants the processor, as looking for a request does.
_GIVE_WAY_S: Final = 5e-6
_ALONE_S: Final = 5e-6
_CROWDED_S: Final = 100e-6
_FORGOTTEN: Final = 0.99  # of the time that others took, each time that nobody did
_STAY_S: Final = 1e-3
# Few texts are answered in some 100 us and read in as many; 128 and more take longer.
_READING: Final = 4
_LONG_S: Final = 0.5e-3
_STAT: Final = Path("/proc/thread-self/stat")
_PROCESSOR: Final = 36  # counted from the state, which follows the name

Clock = Callable[[], float]


class Place:
    """The processor that a thread is on.

    Linux may leave two threads that only ever wait for each other on one processor while another is
    idle. Each then finds the other's data in its caches, and both take twice as long.
    """

    def __init__(
        self,
        *,
        clock: Clock = time.perf_counter,
        give_way: Callable[[], None] | None = None,
        move: Callable[[], None] | None = None,
    ) -> None:
        self._clock = clock
        self._give_way = give_way or os.sched_yield
        self._move = move or move_elsewhere
        self._waited_s = 0.0
        self._stays_until = 0.0

    def give_way(self) -> None:
        """Let others run here, and move where they do for long, or again and again."""
        started = self._clock()
        self._give_way()
        now = self._clock()
        if now - started < _ALONE_S:
            self._waited_s *= _FORGOTTEN
            return
        self._waited_s += now - started
        if self._waited_s >= _CROWDED_S and now >= self._stays_until:
            self._waited_s = 0.0
            self._stays_until = now + _STAY_S
            with suppress(OSError, ValueError, IndexError):  # it runs on where it is
                self._move()


class Awake:
    """Keeps the loop polling for `awake_s` after an answer; for the loop's thread alone.

    It does so where the request that was answered came that soon after an answer, too: who asks
    now and then costs nothing. An answer that took long is read for longer, and waited for. The
    loop sleeps while `is_working` says that the processors are needed, where there is only one, and
    for an `awake_s` of 0.
    """

    def __init__(
        self,
        awake_s: float,
        is_working: Callable[[], bool],
        *,
        clock: Clock = time.perf_counter,
        processors: int | None = None,
        place: Place | None = None,
    ) -> None:
        self._awake_s = awake_s
        self._is_working = is_working
        self._clock = clock
        self._place = place
        count = _processors() if processors is None else processors
        self._is_off = count < 2 or not awake_s
        self._is_brisk = False
        self._asked = 0.0
        self._until = self._gives_way_at = -math.inf
        self.is_polling = False

    def asked(self) -> None:
        """A request has come."""
        self._asked = self._clock()
        self._is_brisk = self._asked < self._until

    def answered(self) -> None:
        """A request has been answered, or seen to."""
        now = self._clock()
        took_s = min(now - self._asked, _LONG_S)
        self._until = now + max(self._awake_s, _READING * took_s)
        if self._is_brisk and not (self.is_polling or self._is_off or self._is_working()):
            self._place = self._place or Place()
            self.is_polling = True
            loop = asyncio.get_running_loop()
            loop.call_soon(self._poll, loop, self._place)

    def _poll(self, loop: asyncio.AbstractEventLoop, place: Place) -> None:
        now = self._clock()
        if now >= self._until or self._is_working():
            self.is_polling = False
            return
        if now >= self._gives_way_at:
            place.give_way()
            self._gives_way_at = now + _GIVE_WAY_S
        loop.call_soon(self._poll, loop, place)


def move_elsewhere() -> None:
    """Put this thread on another one of the processors that it may use, of which it may use the
    same ones afterwards. Raises OSError where that is not permitted."""
    allowed = os.sched_getaffinity(0)
    if others := allowed - {processor()}:
        os.sched_setaffinity(0, others)
        os.sched_setaffinity(0, allowed)


def processor() -> int:
    """The number of the processor that this thread is on (Linux)."""
    return int(_STAT.read_text().rpartition(")")[2].split()[_PROCESSOR])


def _processors() -> int:
    """Those that the process may use; one where threads cannot be moved."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    return len(affinity(0)) if affinity else 1
