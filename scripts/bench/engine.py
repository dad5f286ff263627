"""emberd's engine in this process: what the daemon's socket and service are held against."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from emberd.config import EngineSettings
from emberd.engine import Engine
from emberd.models import StoredModel

__all__ = ["LocalEngine"]


class LocalEngine:
    """An engine with one model on an event loop that runs during `embed` only; use it as a
    context manager."""

    def __init__(
        self,
        model: StoredModel,
        *,
        device: Literal["auto", "cpu", "cuda"],
        background_priority: bool = True,
    ) -> None:
        self._model = model
        settings = EngineSettings(device=device, background_priority=background_priority)
        self._engine = Engine(settings)
        self._runner = asyncio.Runner()

    def __enter__(self) -> LocalEngine:
        try:
            self._runner.run(self._engine.start())
            self._runner.run(self._engine.load(self._model))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._runner.run(self._engine.close())
        self._runner.close()

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """`(n, dim) float32`; returns when the last text is done."""
        return self._runner.run(self._embed(texts))

    async def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        fingerprint = self._model.info.fingerprint
        futures = self._engine.submit(fingerprint, texts, priority="bulk")
        return np.stack([found.vector for found in await asyncio.gather(*futures)])
