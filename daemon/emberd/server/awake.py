"""The event loop's thread between two requests: awake for a moment, on a processor of its own.

Who asks for one thing after another is back within some 50 us. A thread that sleeps by then is
woken some 20 us later, 60 in a virtual machine, which is longer than a cached text takes.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["Awake", "Place", "move_elsewhere", "processor"]

_FEWEST_RESTS: Final = 8
_MOST_RESTS: Final = 64
# Giving way takes 0.3 us where no other thread wants the processor.
_ALONE_S: Final = 5e-6
_CROWDED: Final = 3
_STAY_S: Final = 1e-3
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
        self._crowded = 0
        self._stays_until = 0.0

    def give_way(self) -> None:
        """Let others run here, and move where there are others again and again."""
        started = self._clock()
        self._give_way()
        now = self._clock()
        if now - started < _ALONE_S:
            return
        self._crowded += 1
        if self._crowded >= _CROWDED and now >= self._stays_until:
            self._crowded = 0
            self._stays_until = now + _STAY_S
            with suppress(OSError, ValueError, IndexError):  # it runs on where it is
                self._move()


class Awake:
    """Keeps the loop polling for `awake_s` after a request; for the loop's thread alone.

    Where nothing comes in that time, it rests for the next 8 requests, then for 16, at most for 64:
    a client that asks now and then costs next to nothing. It also rests while `is_working` says
    that the processors are needed, and where there is only one.
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
        is_alone = (_processors() if processors is None else processors) < 2
        self._awake_s = 0.0 if is_alone else awake_s
        self._is_working = is_working
        self._clock = clock
        self._place = place
        self._until = 0.0
        self._is_first = False
        self._rests = 0
        self._next_rests = _FEWEST_RESTS
        self.is_polling = False

    def heard(self) -> None:
        """Something came from a client and was seen to."""
        if self.is_polling:
            self._is_first = False
        elif self._rests:
            self._rests -= 1
            return
        elif not self._awake_s or self._is_working():
            return
        else:
            self._place = self._place or Place()
            self.is_polling = self._is_first = True
            asyncio.get_running_loop().call_soon(self._poll, self._place)
        self._until = self._clock() + self._awake_s

    def _poll(self, place: Place) -> None:
        if self._is_working():
            self.is_polling = False
        elif self._clock() < self._until:
            place.give_way()
            asyncio.get_running_loop().call_soon(self._poll, place)
        else:
            self.is_polling = False
            self._rests = self._next_rests if self._is_first else 0
            self._next_rests = (
                min(2 * self._next_rests, _MOST_RESTS) if self._is_first else _FEWEST_RESTS
            )


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
