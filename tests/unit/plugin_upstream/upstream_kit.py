"""Time that only moves when somebody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from emberd_upstream.embedder import UpstreamEmbedder

__all__ = ["Clock", "MakeEmbedder"]

MakeEmbedder = Callable[..., UpstreamEmbedder]


class Clock:
    def __init__(self) -> None:
        self.time = 1_000.0
        self.waits: list[float] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)
