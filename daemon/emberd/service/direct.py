"""Direct reads: what a client of the same user needs to read the cache's file in its own process,
and the hits that it had there."""

from __future__ import annotations

from typing import Any

import msgspec

from emberd.cache import Cache
from emberd.config import CacheSettings
from emberd.records.tables import FORMAT
from emberd.service.callers import Caller
from emberd.service.embedding import EmbeddingService
from emberd.service.params import DirectHits, DirectParams, bind
from emberd.service.registry import ModelRegistry
from emberd.service.statistics import Statistics
from emberd.wire.direct import DirectAccess, DirectModel

__all__ = ["DirectReads"]


class DirectReads:
    """Owned by the event loop's thread."""

    def __init__(
        self,
        settings: CacheSettings,
        cache: Cache,
        registry: ModelRegistry,
        embedding: EmbeddingService,
        statistics: Statistics,
    ) -> None:
        self._settings = settings
        self._cache = cache
        self._registry = registry
        self._embedding = embedding
        self._counts = statistics.texts

    def answer(self, params: DirectParams, caller: Caller) -> dict[str, Any]:
        """The result of `cache.direct`. Nothing is counted where one of the hits is no good."""
        reported = [bind([each], DirectHits) for each in params.hits]
        for each in reported:
            self._embedding.namespace_of(each.namespace, caller)
        for each in reported:
            self._count(each, caller)
        found: dict[str, Any] = msgspec.to_builtins(self._access(params.model, caller))
        return found

    def _access(self, name: str | None, caller: Caller) -> DirectAccess:
        mapping = self._cache.mapping()
        model = self._registry.loaded(name)
        if refusal := self._refusal(caller):
            return DirectAccess(refusal=refusal)
        if mapping is None:
            return DirectAccess(refusal="the daemon has no persistent tier that is open")
        if model is None:
            return DirectAccess(refusal="the model is not loaded yet")
        return DirectAccess(
            folder=str(mapping.folder),
            map_bytes=mapping.map_bytes,
            format=FORMAT,
            dtype=self._settings.dtype,
            ttl_s=self._settings.ttl_s,
            namespaces=self._embedding.namespaces,
            model=DirectModel(
                name=model.info.name,
                fingerprint=model.fingerprint,
                dim=model.info.dim,
                prompts=dict(model.info.prompts),
            ),
        )

    def _refusal(self, caller: Caller) -> str:
        if not self._settings.direct_reads:
            return "cache.direct_reads is off in the daemon's settings"
        if caller.transport != "unix":
            return "only a client on the daemon's Unix socket may"
        if self._settings.sliding_ttl:
            return "with cache.sliding_ttl only the daemon knows what has expired"
        return ""

    def _count(self, hits: DirectHits, caller: Caller) -> None:
        self._counts.received += hits.texts
        self._counts.hits += hits.texts
        self._counts.truncated += min(hits.truncated, hits.texts)
        caller.texts += hits.texts
        caller.hits += hits.texts
        if (model := self._registry.loaded(hits.model)) is not None:
            model.texts += hits.texts
        self._cache.note_direct(hits.namespace, hits.texts, hits.rows)
