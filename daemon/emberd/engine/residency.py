"""Which models are in memory, who uses them, and when an idle one is let go of."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from emberd.engine.driver import Engine
from emberd.models import StoredModel

__all__ = ["Residency"]

# A model that was loaded waits at least so long for its first text.
_UNUSED_S = 10.0


class Residency:
    """Models by fingerprint. Owned by the event loop's thread.

    A model that somebody holds is never let go of for being idle. Letting go is decided in one
    turn of the loop and carried out by a task; `load` waits for that task.
    """

    def __init__(
        self, engine: Engine, keep_alive_s: float | None, on_idle: Callable[[str], None]
    ) -> None:
        """`on_idle` hears of a model that is let go of for being idle; None keeps all for ever."""
        self._engine = engine
        self._keep_alive_s = keep_alive_s
        self._on_idle = on_idle
        self._used_s: dict[str, float] = {}
        self._users = Counter[str]()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._leaving: dict[str, asyncio.Task[None]] = {}

    def is_here(self, fingerprint: str) -> bool:
        """It is in memory and will stay there while somebody holds it."""
        return fingerprint in self._used_s

    def idle_s(self, fingerprint: str) -> float | None:
        """Seconds since its last use; 0 while it is in use, None where it is not in memory."""
        if fingerprint not in self._used_s:
            return None
        return 0.0 if self._users[fingerprint] else _now() - self._used_s[fingerprint]

    def unloads_in_s(self, fingerprint: str) -> float | None:
        """Seconds until it is let go of; None where it is in use, away or kept for ever."""
        timer = self._timers.get(fingerprint)
        if timer is None or self._keep_alive_s is None or self._users[fingerprint]:
            return None
        due_s = max(self._used_s[fingerprint] + self._keep_alive_s, timer.when())
        return max(due_s - _now(), 0.0)

    @contextmanager
    def held(self, fingerprint: str) -> Iterator[None]:
        """It is in use for as long as the block runs, whether it is in memory yet or not."""
        self._users[fingerprint] += 1
        try:
            yield
        finally:
            self._users[fingerprint] -= 1
            if not self._users[fingerprint]:
                del self._users[fingerprint]
                self._released(fingerprint)

    async def load(self, model: StoredModel) -> None:
        """Bring a model into memory. Raises what `Engine.load` raises."""
        fingerprint = model.info.fingerprint
        while (leaving := self._leaving.get(fingerprint)) is not None:
            await asyncio.wait([leaving])
        await self._engine.load(model)
        if fingerprint not in self._used_s:
            self._used_s[fingerprint] = _now()
            self._arm(fingerprint, max(self._keep_alive_s or 0.0, _UNUSED_S))

    async def unload(self, fingerprint: str) -> None:
        """Let go of a model now, whoever uses it."""
        await asyncio.shield(self._let_go(fingerprint))

    async def close(self) -> None:
        """Watch no more; the engine lets go of what is loaded."""
        self._keep_alive_s = None
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._leaving:
            await asyncio.wait(list(self._leaving.values()))

    def _released(self, fingerprint: str) -> None:
        if fingerprint in self._used_s:
            self._used_s[fingerprint] = _now()
            self._arm(fingerprint, self._keep_alive_s or 0.0)

    def _arm(self, fingerprint: str, delay_s: float) -> None:
        """One timer a model: where it fires too early, it is set again for the rest."""
        if self._keep_alive_s is None:
            return
        timer = self._timers.get(fingerprint)
        if timer is not None:
            if timer.when() <= _now() + delay_s:
                return
            timer.cancel()
        loop = asyncio.get_running_loop()
        self._timers[fingerprint] = loop.call_later(delay_s, self._due, fingerprint)

    def _due(self, fingerprint: str) -> None:
        del self._timers[fingerprint]
        if self._users[fingerprint]:
            return  # whoever holds it sets the timer again
        left_s = self._used_s[fingerprint] + (self._keep_alive_s or 0.0) - _now()
        if left_s > 0:
            self._arm(fingerprint, left_s)
            return
        self._let_go(fingerprint)
        self._on_idle(fingerprint)

    def _let_go(self, fingerprint: str) -> asyncio.Task[None]:
        """From this turn of the loop on it is away."""
        self._used_s.pop(fingerprint, None)
        if (timer := self._timers.pop(fingerprint, None)) is not None:
            timer.cancel()
        task = self._leaving.get(fingerprint)
        if task is None:
            task = asyncio.create_task(self._engine.unload(fingerprint))
            self._leaving[fingerprint] = task
            task.add_done_callback(lambda _: self._leaving.pop(fingerprint))
        return task


def _now() -> float:
    return asyncio.get_running_loop().time()
