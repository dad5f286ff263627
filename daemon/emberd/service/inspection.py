"""Looking a text up in every tier of the cache, without being a user of it."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import numpy as np

from emberd.cache import Cache
from emberd.cache.lower import Sight
from emberd.engine import Engine
from emberd.records.values import unpack_value
from emberd.service.callers import Caller
from emberd.service.embedder_models import estimate_tokens
from emberd.service.embedding import EmbeddingService
from emberd.service.loaded_model import LoadedModel
from emberd.service.params import InspectParams
from emberd.service.registry import ModelRegistry
from emberd.telemetry.top_texts import TopTextCounts
from emberd.wire.insight import CacheInspection, TierFinding

__all__ = ["CacheInspector"]


class CacheInspector:
    """Owned by the event loop's thread."""

    def __init__(
        self,
        cache: Cache,
        engine: Engine,
        registry: ModelRegistry,
        embedding: EmbeddingService,
        top_texts: TopTextCounts | None = None,
    ) -> None:
        self._cache = cache
        self._engine = engine
        self._registry = registry
        self._embedding = embedding
        self._top_texts = top_texts

    async def inspect(self, params: InspectParams, caller: Caller) -> dict[str, Any]:
        """The result of `cache.inspect`; raises what `embed` raises for such a text."""
        (text,) = self._embedding.checked_texts(params.text, "text")
        namespace = self._embedding.namespace_of(params.namespace, caller)
        model = await self._registry.ensure(params.model)
        prefix = model.prefix_of(params.prompt, params.prefix)
        space = model.space(namespace, prefix, params.truncate)
        (key,) = space.keys([text])
        sights = await self._cache.peek(space, text, key, value_size=model.value_size)
        known = next((sight.value for sight in sights.values() if sight.value is not None), None)
        if known is None:
            tokens = await self._tokens_of(model, prefix + text)
        else:
            tokens = _opened(known, model)[1]
        result: dict[str, Any] = msgspec.to_builtins(
            CacheInspection(
                model=model.info.name,
                fingerprint=model.fingerprint,
                key=key.hex(),
                cached=known is not None,
                tiers=[_finding(name, sight, model) for name, sight in sights.items()],
                hits=self._top_texts.hits_of(namespace, text) if self._top_texts else None,
                tokens=tokens,
            )
        )
        return result

    async def _tokens_of(self, model: LoadedModel, content: str) -> int:
        """As many as the model would read."""
        if model.plugged is not None:
            (tokens,) = estimate_tokens([content])
        else:
            async with self._registry.use(model):
                (tokens,) = await self._engine.count_tokens(model.fingerprint, [content])
        return min(tokens, model.info.max_tokens)


def _finding(name: str, sight: Sight, model: LoadedModel) -> TierFinding:
    if sight.value is None:
        return TierFinding(tier=name, message=sight.message)
    return TierFinding(
        tier=name,
        found=True,
        age_s=None if sight.born is None else max(time.time() - sight.born, 0.0),
        size_bytes=len(sight.value),
        norm=float(np.linalg.norm(_opened(sight.value, model)[0])),
    )


def _opened(value: bytes, model: LoadedModel) -> tuple[Any, int, bool]:
    return unpack_value(value, model.info.dim, model.dtype)
