"""What the rate limiters say of the clients: read beside the snapshots, never for a request."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

from emberd.errors import PluginFailedError
from emberd.plugins.abilities import ClientLimits
from emberd.plugins.contracts import RateLimiter
from emberd.plugins.plugged import Plugged
from emberd.service.callers import Caller
from emberd.wire.snapshot import ClientLimit

__all__ = ["READ_S", "LimitReader"]

READ_S: Final = 0.05
_WORDS_CHARS: Final = 60
_SEVERITY: Final = {"free": 0, "near": 1, "limited": 2}

_Client = tuple[str, str]


class LimitReader:
    """The newest answers of the limiters that are `ClientLimits`. Owned by the event loop's thread;
    each of them is read in a task of its own, and never before its last reading has ended."""

    def __init__(self, limiters: Sequence[Plugged[RateLimiter]]) -> None:
        self._limiters = [each for each in limiters if isinstance(each.object, ClientLimits)]
        self._found: list[dict[_Client, ClientLimit]] = [{} for _ in self._limiters]
        self._readings: dict[int, asyncio.Task[None]] = {}

    def tick(self, callers: Iterable[Caller]) -> None:
        """Have the limiters read for these clients."""
        clients = list({(caller.name, caller.namespace) for caller in callers if caller.name})
        for index, limiter in enumerate(self._limiters):
            reading = self._readings.get(index)
            if not limiter.guard.is_active:
                self._found[index] = {}
            elif clients and (reading is None or reading.done()) and not limiter.thread.is_stuck:
                self._readings[index] = asyncio.create_task(self._read(index, clients))

    def of(self, caller: Caller) -> ClientLimit | None:
        """The limit that the client was closest to at the last reading."""
        client = (caller.name, caller.namespace)
        told = [found[client] for found in self._found if client in found]
        return max(told, key=_closeness, default=None)

    def close(self) -> None:
        """Wait for no answer any more."""
        for reading in self._readings.values():
            reading.cancel()

    async def _read(self, index: int, clients: list[_Client]) -> None:
        limiter = self._limiters[index]
        self._found[index] = {}

        def read() -> dict[_Client, ClientLimit]:
            with limiter.guard.watch():
                source = cast(ClientLimits, limiter.object)
                return _checked(clients, source.client_limits(clients))

        try:
            self._found[index] = await limiter.thread.run(read, READ_S)
        except TimeoutError:
            limiter.guard.failed(f"client_limits took longer than {READ_S * 1e3:.0f} ms")
        except Exception:
            return  # the guard has counted it


def _checked(clients: list[_Client], answers: Any) -> dict[_Client, ClientLimit]:
    """The answers by client. Raises PluginFailedError for what does not fit the contract."""
    if not isinstance(answers, Sequence) or len(answers) != len(clients):
        raise PluginFailedError(f"client_limits: {len(clients)} entries were expected.")
    found = {}
    for client, answer in zip(clients, answers, strict=True):
        if answer is None:
            continue
        if not isinstance(answer, ClientLimit) or answer.state not in _SEVERITY:
            raise PluginFailedError(f"client_limits: no ClientLimit, but {answer!r:.100}.")
        found[client] = ClientLimit(
            state=answer.state,
            used_ratio=_positive(answer.used_ratio),
            retry_after_s=_positive(answer.retry_after_s),
            limit=str(answer.limit)[:_WORDS_CHARS],
        )
    return found


def _positive(value: float) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise PluginFailedError(f"client_limits: {value!r:.100} is no number.")
    return max(float(value), 0.0)


def _closeness(limit: ClientLimit) -> tuple[int, float, float]:
    return _SEVERITY[limit.state], limit.retry_after_s, limit.used_ratio
