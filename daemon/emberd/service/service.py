"""The service: one handler a method, no transport. Transports call `Service.call`."""

from __future__ import annotations

import asyncio
import hmac
import os
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec
import numpy as np

from emberd import __version__
from emberd.cache import Cache
from emberd.config import Settings
from emberd.engine import Engine
from emberd.errors import (
    InvalidParamsError,
    InvalidRequestError,
    MethodNotFoundError,
    ShuttingDownError,
    UnauthenticatedError,
)
from emberd.plugins.manager import Plugins
from emberd.service import params as p
from emberd.service.api import METHODS
from emberd.service.callers import Caller
from emberd.service.collections import CollectionService
from emberd.service.direct import DirectReads
from emberd.service.embedder_models import estimate_tokens
from emberd.service.embedding import EmbeddingService
from emberd.service.inspection import CacheInspector
from emberd.service.registry import ModelRegistry
from emberd.service.request_log import RequestLog
from emberd.service.subscriptions import Snapshots
from emberd.telemetry.log_ring import LogRing
from emberd.telemetry.top_texts import TopTextCounts
from emberd.wire.hello import PROTOCOL_VERSION
from emberd.wire.insight import TopTexts
from emberd.wire.vectors import encode_vectors, vectors_to_lists

__all__ = ["Service"]

_ALLOWED_WHILE_DRAINING = frozenset(
    {"hello", "ping", "stats", "stats.history", "requests.list", "logs.tail", "shutdown"}
)
_TOP_TEXTS_OFF = (
    "No texts are kept. To keep the 20 with the most hits, in memory alone, put `top_texts = 20` "
    "under [cache] in the settings file (`emberd config path`) and run `emberd restart`."
)
_SCORES_LIMIT = 16_000_000  # 64 MB of float32

Result = Any | Coroutine[Any, Any, Any]


class Service:
    """What each method does. Owned by the event loop's thread."""

    def __init__(
        self,
        settings: Settings,
        *,
        engine: Engine,
        cache: Cache,
        registry: ModelRegistry,
        embedding: EmbeddingService,
        collections: CollectionService,
        direct: DirectReads,
        snapshots: Snapshots,
        plugins: Plugins,
        requests: RequestLog,
        logs: LogRing,
        top_texts: TopTextCounts | None,
        shut_down: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._cache = cache
        self._registry = registry
        self._embedding = embedding
        self._collections = collections
        self._direct = direct
        self._snapshots = snapshots
        self._plugins = plugins
        self._requests = requests
        self._logs = logs
        self._top_texts = top_texts
        self._shut_down = shut_down
        self.is_draining = False
        self._inspector = CacheInspector(cache, engine, registry, embedding, top_texts)
        self._handlers: dict[str, tuple[type[p.Params], Callable[[Any, Caller], Result]]] = {
            name: (method.params, getattr(self, f"_{name.replace('.', '_')}"))
            for name, method in METHODS.items()
        }

    def call(self, method: str, values: Sequence[Any], caller: Caller) -> Result:
        """The result, or a coroutine for it where something must be waited for.

        Raises EmberdError; the coroutine raises nothing else on purpose.
        """
        try:
            kind, handler = self._handlers[method]
        except (KeyError, TypeError):
            raise _unknown_method(method) from None
        if self.is_draining and method not in _ALLOWED_WHILE_DRAINING:
            raise ShuttingDownError(
                "The daemon is shutting down; connect again in a moment.", retry_after_ms=1000
            )
        return handler(p.bind(values, kind), caller)

    def check_token(self, token: str | None, expected: str) -> None:
        """Raises UnauthenticatedError unless the tokens are equal."""
        if not expected or not hmac.compare_digest((token or "").encode(), expected.encode()):
            raise UnauthenticatedError(
                "The token is missing or wrong; give the one of tcp.token in the settings.",
                details={"field": "token"},
            )

    def _hello(self, params: p.HelloParams, caller: Caller) -> dict[str, Any]:
        if caller.transport == "tcp":
            self.check_token(params.token, self._settings.tcp.token)
        oldest, newest = params.protocol
        if not oldest <= PROTOCOL_VERSION <= newest:
            raise InvalidRequestError(
                f"This daemon ({__version__}) speaks protocol {PROTOCOL_VERSION}; the client "
                f"speaks {oldest} to {newest}. Update the older of the two.",
                details={"field": "protocol", "protocol": PROTOCOL_VERSION},
            )
        caller.namespace = self._embedding.namespace_of(params.namespace, caller)
        caller.name = params.client[:64] or caller.name
        caller.pid = caller.pid or params.pid or 0
        return {
            "protocol": PROTOCOL_VERSION,
            "server": {"name": "emberd", "version": __version__, "pid": os.getpid()},
            "limits": self._limits(),
            "models": self._registry.describe(),
            "default_model": self._registry.default_name,
            "namespace": caller.namespace,
            "kept_dtype": self._settings.cache.dtype,
        }

    def _ping(self, params: p.NoParams, caller: Caller) -> str:
        return "pong"

    def _embed(self, params: p.EmbedParams, caller: Caller) -> Result:
        return self._embedding.embed(params, caller)

    async def _similarity(self, params: p.SimilarityParams, caller: Caller) -> dict[str, Any]:
        request = p.EmbedParams(
            [], params.model, namespace=params.namespace, deadline_ms=params.deadline_ms
        )
        sizes = [1 if isinstance(side, str) else len(side) for side in (params.a, params.b)]
        if sizes[0] * sizes[1] > _SCORES_LIMIT:
            raise InvalidParamsError(
                f"{sizes[0]} x {sizes[1]} scores are over the limit of {_SCORES_LIMIT}; "
                "ask for parts of the table.",
                details={"field": "b"},
            )
        a, _ = await self._embedding.vectors(params.a, "a", request, caller)
        b, _ = await self._embedding.vectors(params.b, "b", request, caller)
        scores = await asyncio.to_thread(lambda: np.clip(a @ b.T, -1.0, 1.0))
        encode = encode_vectors if params.format == "bin" else vectors_to_lists
        model = await self._registry.ensure(params.model)
        return {"model": model.info.name, "scores": encode(scores, "f32")}

    async def _count_tokens(self, params: p.CountTokensParams, caller: Caller) -> dict[str, Any]:
        texts = self._embedding.checked_texts(params.texts)
        model = await self._registry.ensure(params.model)
        async with self._registry.use(model):
            tokens = (
                estimate_tokens(texts)
                if model.plugged is not None
                else await self._engine.count_tokens(model.fingerprint, texts)
            )
        return {
            "model": model.info.name,
            "tokens": tokens,
            "max_tokens": model.info.max_tokens,
            "is_estimate": model.plugged is not None,
        }

    def _cache_stats(self, params: p.NoParams, caller: Caller) -> dict[str, Any]:
        # The latest snapshot's part, not a second reading: windowed figures are read once.
        cache: dict[str, Any] = self._snapshots.latest_plain()["cache"]
        return cache

    async def _cache_clear(self, params: p.CacheClearParams, caller: Caller) -> dict[str, int]:
        if params.namespace is not None:
            self._embedding.namespace_of(params.namespace, caller)
        removed = await self._cache.clear(params.namespace)
        if self._top_texts is not None:
            self._top_texts.clear(params.namespace)
        return removed

    def _cache_inspect(self, params: p.InspectParams, caller: Caller) -> Result:
        return self._inspector.inspect(params, caller)

    def _cache_top(self, params: p.TopTextsParams, caller: Caller) -> Result:
        namespace = self._embedding.namespace_of(params.namespace, caller)
        if self._top_texts is None:
            return msgspec.to_builtins(TopTexts(namespace=namespace, message=_TOP_TEXTS_OFF))
        return msgspec.to_builtins(self._top_texts.top(namespace, params.limit))

    def _cache_direct(self, params: p.DirectParams, caller: Caller) -> dict[str, Any]:
        return self._direct.answer(params, caller)

    def _collections_create(self, params: p.CreateParams, caller: Caller) -> Result:
        return self._collections.create(params)

    def _collections_list(self, params: p.NoParams, caller: Caller) -> Result:
        return self._collections.list()

    def _collections_info(self, params: p.CollectionParams, caller: Caller) -> Result:
        return self._collections.info(params)

    def _collections_drop(self, params: p.CollectionParams, caller: Caller) -> Result:
        return self._collections.drop(params)

    def _collections_rebuild(self, params: p.CollectionParams, caller: Caller) -> Result:
        return self._collections.rebuild(params)

    def _collections_check(self, params: p.CollectionParams, caller: Caller) -> Result:
        return self._collections.check(params)

    def _upsert(self, params: p.UpsertParams, caller: Caller) -> Result:
        return self._collections.upsert(params, caller)

    def _delete(self, params: p.DeleteParams, caller: Caller) -> Result:
        return self._collections.delete(params)

    def _get(self, params: p.GetParams, caller: Caller) -> Result:
        return self._collections.get(params)

    def _scan(self, params: p.ScanParams, caller: Caller) -> Result:
        return self._collections.scan(params)

    def _search(self, params: p.SearchParams, caller: Caller) -> Result:
        return self._collections.search(params, caller)

    async def _models_list(self, params: p.NoParams, caller: Caller) -> list[dict[str, Any]]:
        return await self._registry.known()

    async def _models_load(self, params: p.ModelParams, caller: Caller) -> dict[str, Any]:
        model = await self._registry.ensure(params.name)
        async with self._registry.use(model):  # brings back one that was let go of
            pass
        return {"name": model.info.name, **self._registry.describe()[model.info.name]}

    async def _models_unload(self, params: p.ModelParams, caller: Caller) -> dict[str, Any]:
        return {"name": params.name, "unloaded": await self._registry.unload(params.name)}

    def _plugins_list(self, params: p.NoParams, caller: Caller) -> list[dict[str, Any]]:
        return [msgspec.to_builtins(stats) for stats in self._plugins.stats()]

    def _plugins_info(self, params: p.PluginParams, caller: Caller) -> dict[str, Any]:
        return self._plugins.info(params.name)

    async def _plugins_enable(self, params: p.PluginParams, caller: Caller) -> dict[str, Any]:
        stats: dict[str, Any] = msgspec.to_builtins(await self._plugins.enable(params.name))
        return stats

    async def _plugins_disable(self, params: p.PluginParams, caller: Caller) -> dict[str, Any]:
        reason = f"Disabled by {caller.name or 'a client'} (pid {caller.pid})"
        stats: dict[str, Any] = msgspec.to_builtins(
            await self._plugins.disable(params.name, reason)
        )
        return stats

    async def _plugins_check(
        self, params: p.PluginCheckParams, caller: Caller
    ) -> list[dict[str, Any]]:
        return [msgspec.to_builtins(stats) for stats in await self._plugins.check(params.name)]

    def _stats(self, params: p.StatsParams, caller: Caller) -> Result:
        return self._snapshots.next_plain() if params.fresh else self._snapshots.latest_plain()

    def _stats_history(self, params: p.HistoryParams, caller: Caller) -> Result:
        return msgspec.to_builtins(self._snapshots.history.columns(params.window_s))

    def _stats_subscribe(self, params: p.SubscribeParams, caller: Caller) -> dict[str, Any]:
        return {"subscription": self._snapshots.subscribe(caller, params.interval_s)}

    def _stats_unsubscribe(self, params: p.UnsubscribeParams, caller: Caller) -> dict[str, Any]:
        return {"unsubscribed": self._snapshots.unsubscribe(caller, params.subscription)}

    def _requests_list(self, params: p.RequestsParams, caller: Caller) -> Result:
        found = self._requests.rows(
            params.kind,
            client=params.client,
            method=params.method,
            failed=params.failed,
            limit=params.limit,
        )
        return msgspec.to_builtins(found)

    def _logs_tail(self, params: p.LogsParams, caller: Caller) -> Result:
        found = self._logs.tail(
            params.lines, level=params.level, contains=params.contains, after=params.after
        )
        return msgspec.to_builtins(found)

    def _shutdown(self, params: p.NoParams, caller: Caller) -> dict[str, str]:
        self._shut_down(f"asked by {caller.name or 'a client'} (pid {caller.pid})")
        return {"state": "draining"}

    def _limits(self) -> dict[str, Any]:
        limits: dict[str, Any] = msgspec.to_builtins(self._settings.limits)
        return limits


def _unknown_method(method: str) -> MethodNotFoundError:
    import difflib  # noqa: PLC0415 - only on this path

    near = difflib.get_close_matches(str(method), METHODS, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return MethodNotFoundError(f"No method {method!r}.{hint} `emberd api` lists the methods.")
