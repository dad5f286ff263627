"""The model that answers a whole request when the one it named cannot be reached."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from emberd.errors import EmberdError, UpstreamUnavailableError
from emberd.service.loaded_model import LoadedModel
from emberd.service.registry import ModelRegistry
from emberd.telemetry import EventLog

__all__ = ["Fallbacks"]

_TELL_EVERY_S = 60.0


class Fallbacks:
    """Owned by the event loop's thread."""

    def __init__(
        self,
        registry: ModelRegistry,
        events: EventLog,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._events = events
        self._clock = clock
        self._told_s: dict[str, float] = {}

    async def find(
        self, model: LoadedModel, outage: UpstreamUnavailableError, timeout_s: float | None
    ) -> LoadedModel | None:
        """The model that stands in for `model`, loaded where needed; None where its settings name
        none, and where that one cannot be had. Raises TimeoutError."""
        name = model.fallback
        if name is None:
            return None
        try:
            async with asyncio.timeout(timeout_s):
                other = await self._registry.ensure(name)
        except EmberdError as exc:
            self._tell(model, f"{name}, its fallback, cannot be used: {exc.message}")
            return None
        self._tell(model, f"{other.info.name} answers instead: {outage.message}")
        return other

    def _tell(self, model: LoadedModel, message: str) -> None:
        """An event, once a minute a model."""
        name, now = model.info.name, self._clock()
        last_s = self._told_s.get(name)
        if last_s is not None and now - last_s < _TELL_EVERY_S:
            return
        self._told_s[name] = now
        self._events.emit(
            "model.fallback",
            f"{name} cannot be reached; {message}",
            level="warning",
            model=name,
            fallback=model.fallback,
        )
