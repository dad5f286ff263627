"""emberd's engine in this process: what the daemon's socket and service are held against."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from emberd.config import EngineSettings
from emberd.engine import Device, Engine
from emberd.engine.session import OnnxBackend
from emberd.models import StoredModel
from emberd.models.bert.gpu_graph import Variant

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
        variant: Variant | None = None,
    ) -> None:
        """With a `variant`, entering raises RuntimeError unless that graph runs on the GPU."""
        self._model = model
        self._variant = variant
        settings = EngineSettings(device=device, background_priority=background_priority)
        self._engine = Engine(settings, open_backend=self._open)
        self._runner = asyncio.Runner()

    def __enter__(self) -> LocalEngine:
        try:
            self._runner.run(self._engine.start())
            self._runner.run(self._engine.load(self._model))
            self._check_variant()
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

    def tokenise(self, texts: Sequence[str]) -> int:
        """The tokens of all texts, counted by the engine's own threads."""
        fingerprint = self._model.info.fingerprint
        return sum(self._runner.run(self._engine.count_tokens(fingerprint, texts)))

    def _check_variant(self) -> None:
        if self._variant is not None and (problems := self._engine.problems()):
            raise RuntimeError(problems[0])

    def _open(self, model: StoredModel, device: Device) -> OnnxBackend:
        backend = OnnxBackend(model, device, variant=self._variant or "fused")
        if self._variant is not None and backend.note:
            raise RuntimeError(backend.note)
        return backend

    async def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        fingerprint = self._model.info.fingerprint
        futures = self._engine.submit(fingerprint, texts, priority="bulk")
        return np.stack([found.vector for found in await asyncio.gather(*futures)])
