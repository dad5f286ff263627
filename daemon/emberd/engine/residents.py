"""The loaded models, and those on their way in or out. Event loop only."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from emberd.engine.backend import EmbedderBackend
from emberd.engine.memory import give_back_memory
from emberd.errors import EmberdError, ModelLoadFailedError, ModelNotFoundError, ShuttingDownError
from emberd.models import StoredModel
from emberd.telemetry.events import EventLog

__all__ = ["Residents"]


class Residents:
    """Loads each model once however many ask, and lets go of it when nothing runs on it."""

    def __init__(
        self,
        open_backend: Callable[[StoredModel], EmbedderBackend],
        admit: Callable[[str, EmbedderBackend], Awaitable[None]],
        dismiss: Callable[[str], Awaitable[None]],
        log: EventLog,
    ) -> None:
        """`open_backend` blocks and runs on a thread; `admit` and `dismiss` tell the scheduler."""
        self._open_backend = open_backend
        self._admit = admit
        self._dismiss = dismiss
        self._log = log
        self._loaded: dict[str, EmbedderBackend] = {}
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._leaving: dict[str, asyncio.Future[None]] = {}
        self._is_closed = False

    def get(self, fingerprint: str) -> EmbedderBackend:
        """Raises ModelNotFoundError where it is not loaded."""
        try:
            return self._loaded[fingerprint]
        except KeyError:
            raise ModelNotFoundError(
                f"The model with the fingerprint {fingerprint} is not loaded. Load it first.",
                details={"fingerprint": fingerprint},
            ) from None

    def fingerprints(self) -> list[str]:
        return list(self._loaded)

    async def load(self, model: StoredModel) -> None:
        """Raises ModelLoadFailedError; a second load of the same model waits for the first."""
        fingerprint = model.info.fingerprint
        if fingerprint in self._loaded:
            return
        task = self._loading.get(fingerprint)
        if task is None:
            task = self._loading[fingerprint] = asyncio.create_task(self._load(model))
            task.add_done_callback(lambda _: self._loading.pop(fingerprint, None))
        await asyncio.shield(task)

    async def unload(self, fingerprint: str) -> None:
        """Refuse what waits, let what runs finish, then let go. Not loaded: nothing to do."""
        if task := self._loading.get(fingerprint):
            await asyncio.wait([task])
        backend = self._loaded.pop(fingerprint, None)
        if backend is None:
            return
        left = self._leaving[fingerprint] = asyncio.get_running_loop().create_future()
        await self._dismiss(fingerprint)
        await left
        await asyncio.to_thread(_let_go, backend)

    def left(self, fingerprint: str) -> None:
        """Nothing runs on this model any more."""
        future = self._leaving.pop(fingerprint, None)
        if future is not None and not future.done():
            future.set_result(None)

    async def close(self) -> None:
        """Let go of every model; the callers have ended."""
        self._is_closed = True
        if self._loading:
            await asyncio.wait(list(self._loading.values()))
        for fingerprint in list(self._leaving):
            self.left(fingerprint)
        while self._loaded:
            _, backend = self._loaded.popitem()
            await asyncio.to_thread(backend.close)

    async def _load(self, model: StoredModel) -> None:
        started = time.monotonic()
        fingerprint = model.info.fingerprint
        if leaving := self._leaving.get(fingerprint):
            await asyncio.wait([leaving])
        try:
            backend = await asyncio.to_thread(self._open_backend, model)
        except EmberdError:
            raise
        except Exception as exc:
            raise ModelLoadFailedError(
                f"The model {model.info.name} cannot be loaded: {exc}. Remove it and pull it "
                "again.",
                details={"model": model.info.name, "fingerprint": fingerprint},
            ) from exc
        if self._is_closed:
            await asyncio.to_thread(backend.close)
            raise ShuttingDownError("The daemon is shutting down and loads no more models.")
        await self._admit(fingerprint, backend)
        self._loaded[fingerprint] = backend
        self._log.emit(
            "model.loaded",
            f"{model.info.name} is ready" + (f". {backend.note}" if backend.note else ""),
            fingerprint=fingerprint,
            seconds=round(time.monotonic() - started, 3),
        )


def _let_go(backend: EmbedderBackend) -> None:
    backend.close()
    give_back_memory()
