"""The models that the daemon can answer with: names resolved, loaded once, fetched if allowed."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from emberd.cache import KeySpace
from emberd.cache.values import Dtype, value_size
from emberd.config import ModelSettings
from emberd.engine import Engine
from emberd.errors import EmberdError, InvalidParamsError, ModelNotFoundError
from emberd.models import CATALOG, ModelInfo, ModelStore, StoredModel, canonical_name, pull
from emberd.telemetry import EventLog
from emberd.wire.snapshot import ModelStats

__all__ = ["LoadedModel", "ModelRegistry"]

_SPACES_KEPT = 1024


class LoadedModel:
    """A model that the engine holds, with what the cache needs to know of it."""

    def __init__(self, info: ModelInfo, dtype: Dtype) -> None:
        self.info = info
        self.fingerprint = info.fingerprint
        self.dtype = dtype
        self.value_size = value_size(info.dim, dtype)
        self.texts = 0
        self._spaces: dict[tuple[str, str, str], KeySpace] = {}

    def prefix_of(self, prompt: str | None, prefix: str | None) -> str:
        """The words put before each text. Raises InvalidParamsError for an unknown prompt."""
        if prompt is None:
            return prefix or ""
        if prefix is not None:
            raise InvalidParamsError(
                "prompt: give a named prompt or a literal prefix, not both.",
                details={"field": "prompt"},
            )
        try:
            return self.info.prompts[prompt]
        except KeyError:
            known = ", ".join(self.info.prompts) or "none; use `prefix` for words of your own"
            raise InvalidParamsError(
                f"prompt: {self.info.name} has no prompt {prompt!r} (it has: {known}).",
                details={"field": "prompt"},
            ) from None

    def space(self, namespace: str, prefix: str, truncate: str) -> KeySpace:
        """The key space of a kind of request; made once."""
        key = (namespace, prefix, truncate)
        space = self._spaces.get(key)
        if space is None:
            if len(self._spaces) >= _SPACES_KEPT:
                self._spaces.clear()
            space = self._spaces[key] = KeySpace(
                namespace, self.fingerprint, prefix, truncate, self.dtype
            )
        return space


class ModelRegistry:
    """Owned by the event loop's thread. A model is loaded once, however many requests wait."""

    def __init__(
        self,
        store: ModelStore,
        engine: Engine,
        settings: ModelSettings,
        dtype: Dtype,
        events: EventLog,
    ) -> None:
        self._store = store
        self._engine = engine
        self._settings = settings
        self._dtype = dtype
        self._events = events
        self._loaded: dict[str, LoadedModel] = {}
        self._loading: dict[str, asyncio.Task[LoadedModel]] = {}
        self._failed: dict[str, str] = {}
        self._by_request: dict[str | None, LoadedModel] = {}
        self._closing = threading.Event()

    @property
    def default_name(self) -> str:
        return canonical_name(self._settings.default)

    def loaded(self, name: str | None) -> LoadedModel | None:
        """The model for a request's name (null is the default), when it is loaded."""
        return self._by_request.get(name)

    async def ensure(self, name: str | None) -> LoadedModel:
        """The model for a request's name, loaded (and fetched, if that is allowed) when needed.

        Raises ModelNotFoundError, DownloadFailedError, ModelInvalidError or ModelLoadFailedError.
        A caller that goes away does not stop the loading for the others.
        """
        resolved = self.default_name if name is None else canonical_name(name)
        model = self._loaded.get(resolved)
        if model is None:
            task = self._loading.get(resolved)
            if task is None:
                task = self._loading[resolved] = asyncio.create_task(self._load(resolved))
                task.add_done_callback(lambda _: self._loading.pop(resolved, None))
            model = await asyncio.shield(task)
        self._by_request[name] = model
        return model

    async def unload(self, name: str) -> bool:
        """Let go of a model; its cached vectors stay. False when it was not loaded."""
        resolved = canonical_name(name)
        model = self._loaded.pop(resolved, None)
        self._failed.pop(resolved, None)
        if model is None:
            if await asyncio.to_thread(self._store.find, resolved) is None:
                raise self._unknown(resolved)
            return False
        self._by_request.clear()
        await self._engine.unload(model.fingerprint)
        self._events.emit("model.unloaded", f"{resolved} was unloaded", model=resolved)
        return True

    async def known(self) -> list[dict[str, Any]]:
        """Every model that is loaded, stored or in the catalog."""
        stored = await asyncio.to_thread(self._stored_rows)
        names = {row["name"] for row in stored}
        for row in stored:
            row["state"] = "loaded" if row["name"] in self._loaded else "stored"
        for entry in CATALOG.values():
            if entry.name not in names:
                stored.append(
                    {
                        "name": entry.name,
                        "state": "available",
                        "dim": entry.dim,
                        "max_tokens": entry.max_tokens,
                        "fingerprint": None,
                        "licence": entry.licence,
                        "source": entry.repo,
                        "precision": "exact",
                        "pooling": entry.pooling,
                        "size_bytes": None,
                    }
                )
        for row in stored:
            row["is_default"] = row["name"] == self.default_name
        return stored

    def stats(self) -> list[ModelStats]:
        """The models' part of the snapshot."""
        rows = [
            ModelStats(
                name=name,
                fingerprint=model.fingerprint,
                dim=model.info.dim,
                max_tokens=model.info.max_tokens,
                precision=model.info.precision,
                is_default=name == self.default_name,
                texts=model.texts,
            )
            for name, model in self._loaded.items()
        ]
        rows += [
            ModelStats(name=name, fingerprint="", dim=0, max_tokens=0, state="loading")
            for name in self._loading
        ]
        return rows + [
            ModelStats(
                name=name, fingerprint="", dim=0, max_tokens=0, state="failed", message=message
            )
            for name, message in self._failed.items()
            if name not in self._loading
        ]

    def describe(self) -> dict[str, dict[str, Any]]:
        """What `hello` tells of the loaded models."""
        return {
            name: {
                "fingerprint": model.fingerprint,
                "dim": model.info.dim,
                "max_tokens": model.info.max_tokens,
            }
            for name, model in self._loaded.items()
        }

    async def close(self) -> None:
        """Stop loadings that are under way; a half-fetched model leaves nothing behind."""
        self._closing.set()
        tasks = list(self._loading.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _load(self, name: str) -> LoadedModel:
        self._failed.pop(name, None)
        try:
            stored = await asyncio.to_thread(self._find_or_pull, name)
            await self._engine.load(stored)
        except EmberdError as exc:
            if not isinstance(exc, ModelNotFoundError):
                self._failed[name] = exc.message
                self._events.emit("model.failed", exc.message, level="error", model=name)
            raise
        model = self._loaded[name] = LoadedModel(stored.info, self._dtype)
        return model

    def _find_or_pull(self, name: str) -> StoredModel:
        stored = self._store.find(name)
        if stored is not None:
            return stored
        if name not in CATALOG:
            raise self._unknown(name)
        if not self._settings.allow_download:
            raise ModelNotFoundError(
                f"{name} is not in the store and models.allow_download is off. "
                f"Run `emberd models pull {name}`.",
                details={"field": "model"},
            )
        self._events.emit("model.download", f"{name} is being fetched", model=name)
        return pull(name, self._store, cancelled=self._closing.is_set)

    def _unknown(self, name: str) -> EmberdError:
        try:
            self._store.get(name)
        except ModelNotFoundError as exc:
            exc.details.setdefault("field", "model")
            return exc
        return ModelNotFoundError(f"No model {name!r}.", details={"field": "model"})

    def _stored_rows(self) -> list[dict[str, Any]]:
        return [
            {
                "name": model.info.name,
                "dim": model.info.dim,
                "max_tokens": model.info.max_tokens,
                "fingerprint": model.info.fingerprint,
                "licence": model.info.licence,
                "source": model.info.source,
                "precision": model.info.precision,
                "pooling": model.info.pooling,
                "size_bytes": sum(file.stat().st_size for file in model.folder.iterdir()),
            }
            for model in self._store.list()
        ]
