"""The models that the daemon can answer with: names resolved, loaded once, fetched if allowed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal

import msgspec

from emberd.config import ModelSettings, duration_s
from emberd.engine import Engine, Residency
from emberd.errors import (
    CancelledRequestError,
    EmberdError,
    ModelNotFoundError,
)
from emberd.models import (
    CATALOG,
    ModelStore,
    StoredModel,
    canonical_name,
    pull,
    split_name,
)
from emberd.records.values import Dtype
from emberd.service.embedder_models import Embedders, PluggedModel
from emberd.service.loaded_model import LoadedModel
from emberd.service.trace import current_trace
from emberd.telemetry import EventLog
from emberd.wire.snapshot import ModelStats

__all__ = ["ModelRegistry"]


class ModelRegistry:
    """Owned by the event loop's thread. A model is loaded once, however many requests wait.

    A name is looked for in the store, then among the models of plugins, then in the catalog. A
    model that is known may be away for being idle: what is cached of it is answered all the same,
    and who computes with it does so within `use`.
    """

    def __init__(
        self,
        store: ModelStore,
        engine: Engine,
        settings: ModelSettings,
        dtype: Dtype,
        events: EventLog,
        embedders: Embedders | None = None,
    ) -> None:
        self._store = store
        self._settings = settings
        self._residency = Residency(
            engine, duration_s(settings.keep_alive), self._tell_unloaded_for_idleness
        )
        self._dtype = dtype
        self._events = events
        self._embedders = embedders
        self._plugged: dict[str, LoadedModel] = {}
        self._shadowed: set[str] = set()
        self._asking: asyncio.Task[None] | None = None
        self._loaded: dict[str, LoadedModel] = {}
        self._loading: dict[str, asyncio.Task[LoadedModel]] = {}
        self._failed: dict[str, str] = {}
        self._by_request: dict[str | None, LoadedModel] = {}
        self._closing = threading.Event()

    @property
    def default_name(self) -> str:
        """What requests that name no model get: `NAME@PLUGIN` where `models.embedder` names a
        plugin that offers it."""
        name = canonical_name(self._settings.default)
        chosen = f"{name}@{self._settings.embedder}"
        return chosen if chosen in self._plugged else name

    async def ask_plugins(self, timeout_s: float | None = None) -> None:
        """Ask plugins for the models that they have not told yet, and wait for the answers; those
        that come after `timeout_s` are taken as well."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_plugins())
        await asyncio.wait([self._asking], timeout=timeout_s)

    def loaded(self, name: str | None) -> LoadedModel | None:
        """The model for a request's name (null is the default), when it is known."""
        return self._by_request.get(name)

    async def ensure(self, name: str | None) -> LoadedModel:
        """The model for a request's name, loaded (and fetched, if that is allowed) when needed.

        Raises ModelNotFoundError, DownloadFailedError, ModelInvalidError or ModelLoadFailedError.
        A caller that goes away does not stop the loading for the others.
        """
        resolved = self.default_name if name is None else canonical_name(name)
        model = self._loaded.get(resolved) or self._plugged.get(resolved)
        if model is None:
            model = await self._load_once(resolved)
        self._by_request[name] = model
        return model

    @asynccontextmanager
    async def use(self, model: LoadedModel) -> AsyncIterator[None]:
        """The model is in memory for as long as the block runs, loaded again where it was away.

        Raises what `ensure` raises, and CancelledRequestError where another one has taken its
        name meanwhile.
        """
        if model.plugged is not None:
            yield
            return
        with self._residency.held(model.fingerprint):
            while not self._residency.is_here(model.fingerprint):
                now = await self._load_once(model.info.name)
                if now.fingerprint != model.fingerprint:
                    raise CancelledRequestError(
                        f"The model {model.info.name} was replaced by another one. Ask again."
                    )
                current_trace().lap("load")
            yield

    async def is_here(self, name: str) -> bool:
        """A plugin offers it, or it lies in the store: nothing needs to be fetched for it."""
        return name in self._plugged or await asyncio.to_thread(self._store.find, name) is not None

    async def unload(self, name: str) -> bool:
        """Let go of a model; its cached vectors stay. False when it was not loaded, and for a
        plugin's model, of which nothing is held."""
        resolved = canonical_name(name)
        if (loading := self._loading.get(resolved)) is not None:
            await asyncio.wait([loading])
        model = self._loaded.pop(resolved, None)
        self._failed.pop(resolved, None)
        if model is None:
            if resolved in self._plugged:
                return False
            if await asyncio.to_thread(self._store.find, resolved) is None:
                raise self._unknown(resolved)
            return False
        self._by_request.clear()
        if not self._residency.is_here(model.fingerprint):
            return False
        await self._residency.unload(model.fingerprint)
        self._events.emit("model.unloaded", f"{resolved} was unloaded", model=resolved)
        return True

    async def known(self) -> list[dict[str, Any]]:
        """Every model that is loaded, offered by a plugin, stored or in the catalog."""
        stored = await asyncio.to_thread(self._stored_rows)
        names = {row["name"] for row in stored}
        for row in stored:
            model = self._loaded.get(row["name"])
            fingerprint = "" if model is None else model.fingerprint
            row["state"] = "loaded" if self._residency.is_here(fingerprint) else "stored"
            row["idle_s"] = self._residency.idle_s(fingerprint)
            row["unloads_in_s"] = self._residency.unloads_in_s(fingerprint)
        rows = [_plugged_row(model.plugged) for model in self._plugged.values() if model.plugged]
        stored += rows
        names |= {row["name"] for row in rows}
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
                        "accuracy": None,
                        "pooling": entry.pooling,
                        "size_bytes": None,
                    }
                )
        for row in stored:
            row.setdefault("idle_s", None)
            row.setdefault("unloads_in_s", None)
            row["is_default"] = row["name"] == self.default_name
        return stored

    def stats(self, device: str = "") -> list[ModelStats]:
        """The models' part of the snapshot; `device` is the engine's."""
        rows = [self._stats_of(name, model, device) for name, model in self._loaded.items()]
        rows += [self._plugged_stats(model) for model in self._plugged.values()]
        rows += [
            ModelStats(name=name, fingerprint="", dim=0, max_tokens=0, state="loading")
            for name in self._loading
            if name not in self._loaded
        ]
        return rows + [
            ModelStats(
                name=name, fingerprint="", dim=0, max_tokens=0, state="failed", message=message
            )
            for name, message in self._failed.items()
            if name not in self._loading and name not in self._loaded
        ]

    def describe(self) -> dict[str, dict[str, Any]]:
        """What `hello` tells of the loaded models."""
        return {
            name: {
                "fingerprint": model.fingerprint,
                "dim": model.info.dim,
                "max_tokens": model.info.max_tokens,
            }
            for name, model in (self._loaded | self._plugged).items()
        }

    async def close(self) -> None:
        """Stop loadings that are under way; a half-fetched model leaves nothing behind."""
        self._closing.set()
        tasks: list[asyncio.Task[Any]] = list(self._loading.values())
        if self._asking is not None:
            tasks.append(self._asking)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._residency.close()

    async def _load_once(self, name: str) -> LoadedModel:
        """Whoever asks while it is loaded waits for the same task."""
        task = self._loading.get(name)
        if task is None:
            task = self._loading[name] = asyncio.create_task(self._load(name))
            task.add_done_callback(lambda _: self._loading.pop(name, None))
        return await asyncio.shield(task)

    async def _load(self, name: str) -> LoadedModel:
        self._failed.pop(name, None)
        try:
            if (late := await self._offered_late(name)) is not None:
                return late
            stored = await asyncio.to_thread(self._find_or_pull, name)
            await self._residency.load(stored)
        except EmberdError as exc:
            if not isinstance(exc, ModelNotFoundError):
                self._failed[name] = exc.message
                self._events.emit("model.failed", exc.message, level="error", model=name)
            raise
        known = self._loaded.get(name)
        if known is None or known.fingerprint != stored.info.fingerprint:
            known = self._loaded[name] = LoadedModel(stored.info, self._dtype)
            self._by_request.clear()
        return known

    async def _ask_plugins(self) -> None:
        if self._embedders is not None:
            async for _ in self._embedders.ask():
                await self._adopt(self._embedders.models)
        chosen = self._settings.embedder
        if chosen and not self.default_name.endswith(f"@{chosen}"):
            self._events.emit(
                "model.embedder_absent",
                f"models.embedder: {self.default_name}@{chosen} is not offered, so emberd's own "
                f"engine answers. `emberd plugins info {chosen}` says why.",
                level="warning",
                plugin=chosen,
            )

    async def _adopt(self, models: Mapping[str, PluggedModel]) -> None:
        """Take over plugins' models; a name that the store has stays the store's."""
        for name, plugged in list(models.items()):
            if name in self._plugged:
                continue
            if await asyncio.to_thread(self._store.find, name) is not None:
                self._tell_shadowed(plugged)
            else:
                self._plugged[name] = LoadedModel(plugged.info, self._dtype, plugged)
                self._by_request.pop(None, None)  # it may be the default

    async def _offered_late(self, name: str) -> LoadedModel | None:
        """The model of a plugin that could not tell its models at the start, and now can."""
        if self._embedders is None or await asyncio.to_thread(self._store.find, name) is not None:
            return None
        await self.ask_plugins()
        return self._plugged.get(name)

    def _tell_shadowed(self, plugged: PluggedModel) -> None:
        name = plugged.info.name
        if name in self._shadowed:
            return
        self._shadowed.add(name)
        self._events.emit(
            "model.shadowed",
            f"{name} of the {plugged.source} is not used: the store has a model of that "
            "name. Rename one of them.",
            level="warning",
            model=name,
        )

    def _tell_unloaded_for_idleness(self, fingerprint: str) -> None:
        for name, model in self._loaded.items():
            if model.fingerprint == fingerprint:
                self._events.emit(
                    "model.unloaded",
                    f"{name} was unloaded after {self._settings.keep_alive} without work",
                    model=name,
                )

    def _stats_of(self, name: str, model: LoadedModel, device: str) -> ModelStats:
        state: Literal["loading", "loaded", "unloaded", "failed"] = "unloaded"
        if self._residency.is_here(model.fingerprint):
            state = "loaded"
        elif name in self._loading:
            state = "loading"
        elif name in self._failed:
            state = "failed"
        return ModelStats(
            name=name,
            fingerprint=model.fingerprint,
            dim=model.info.dim,
            max_tokens=model.info.max_tokens,
            precision=model.info.precision,
            state=state,
            message=self._failed.get(name, ""),
            is_default=name == self.default_name,
            device=device,
            texts=model.texts,
            idle_s=self._residency.idle_s(model.fingerprint),
            unloads_in_s=self._residency.unloads_in_s(model.fingerprint),
        )

    def _plugged_stats(self, model: LoadedModel) -> ModelStats:
        plugged = model.plugged
        is_usable = plugged is None or plugged.is_usable
        return ModelStats(
            name=model.info.name,
            fingerprint=model.fingerprint,
            dim=model.info.dim,
            max_tokens=model.info.max_tokens,
            precision=model.info.precision,
            state="loaded" if is_usable else "failed",
            message="" if plugged is None or is_usable else f"The {plugged.source} is not in use.",
            is_default=model.info.name == self.default_name,
            device="" if plugged is None else plugged.source,
            texts=model.texts,
        )

    def _find_or_pull(self, name: str) -> StoredModel:
        stored = self._store.find(name)
        if stored is not None:
            return stored
        if split_name(name)[0] not in CATALOG:
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
                "accuracy": msgspec.to_builtins(model.info.accuracy),
                "pooling": model.info.pooling,
                "size_bytes": sum(file.stat().st_size for file in model.folder.iterdir()),
            }
            for model in self._store.list()
        ]


def _plugged_row(model: PluggedModel) -> dict[str, Any]:
    return {
        "name": model.info.name,
        "state": "loaded" if model.is_usable else "failed",
        "dim": model.info.dim,
        "max_tokens": model.info.max_tokens,
        "fingerprint": model.info.fingerprint,
        "licence": model.info.licence,
        "source": model.source,
        "precision": model.info.precision,
        "accuracy": None,
        "pooling": None,
        "size_bytes": None,
    }
