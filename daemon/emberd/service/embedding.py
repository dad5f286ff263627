"""The path of a text: memory, lower tiers, single flight, the engine; then the reply.

A request whose texts are all in the memory tier is answered without a task.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from itertools import compress
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import structs

from emberd.cache import Cache, KeySpace
from emberd.config import LimitSettings
from emberd.errors import (
    DeadlineExceededError,
    EmberdError,
    InvalidParamsError,
    NamespaceNotFoundError,
    TextTooLongError,
    UpstreamUnavailableError,
)
from emberd.service.admission import Admission
from emberd.service.callers import Caller
from emberd.service.compute import Computations
from emberd.service.fallback import Fallbacks
from emberd.service.loaded_model import LoadedModel
from emberd.service.params import EmbedParams
from emberd.service.registry import ModelRegistry
from emberd.service.replies import reply_of, vectors_of
from emberd.service.statistics import Statistics
from emberd.service.trace import current_trace
from emberd.telemetry.top_texts import TopTextCounts

__all__ = ["EmbeddingService", "Work"]

_REPLY_ON_LOOP_TEXTS = 512  # a larger reply is put together on a thread: it costs 3 us a text


@dataclass(slots=True, eq=False)
class Work:
    """One request for vectors under way; `values[i]` is the cached form of `texts[i]`'s vector."""

    params: EmbedParams
    caller: Caller
    texts: list[str]
    model: LoadedModel
    space: KeySpace
    values: list[bytes | None]
    hits: dict[str, int] = field(default_factory=dict)
    computed: int = 0
    computed_tokens: int = 0
    """Of what this request had computed, so far."""
    deduplicated: int = 0
    errors: dict[int, EmberdError] = field(default_factory=dict)
    where: str = "texts"
    """The parameter that holds the texts, for errors."""
    tried: tuple[str, ...] = ()
    """The models that could not be reached, for which this one stands in; the first was asked
    for."""


class EmbeddingService:
    """Owned by the event loop's thread."""

    def __init__(
        self,
        registry: ModelRegistry,
        cache: Cache,
        computations: Computations,
        statistics: Statistics,
        limits: LimitSettings,
        namespaces: frozenset[str],
        admission: Admission | None = None,
        fallbacks: Fallbacks | None = None,
        top_texts: TopTextCounts | None = None,
    ) -> None:
        self._registry = registry
        self._cache = cache
        self._computations = computations
        self._counts = statistics.texts
        self._limits = limits
        self._namespaces = namespaces
        self._admission = admission
        self._fallbacks = fallbacks
        self._top_texts = top_texts

    @property
    def namespaces(self) -> list[str]:
        """The declared ones."""
        return sorted(self._namespaces)

    def embed(
        self, params: EmbedParams, caller: Caller
    ) -> dict[str, Any] | Coroutine[Any, Any, dict[str, Any]]:
        """The reply, or a coroutine for it where something must be waited for."""
        model = self._registry.loaded(params.model)
        if model is None:
            return self._load_and_embed(params, caller)
        work = self.begin(params, caller, model)
        is_complete = work.hits.get("memory") == len(work.texts)
        if not is_complete or len(work.texts) > _REPLY_ON_LOOP_TEXTS:
            return self._finish(work)
        return self._reply(work)

    def begin(self, params: EmbedParams, caller: Caller, model: LoadedModel) -> Work:
        """Check a request and ask the memory tier."""
        texts = self._texts_of(params.texts, "texts")
        if params.dimensions is not None and params.dimensions > model.info.dim:
            raise InvalidParamsError(
                f"dimensions: {model.info.name} has {model.info.dim}, {params.dimensions} asked.",
                details={"field": "dimensions"},
            )
        space = model.space(
            self.namespace_of(params.namespace, caller),
            model.prefix_of(params.prompt, params.prefix),
            params.truncate,
        )
        values: list[bytes | None]
        found = 0
        if params.use_cache:
            values, found = self._cache.lookup_memory(space, texts)
        else:
            values = [None] * len(texts)
        work = Work(params, caller, texts, model, space, values)
        if found:
            work.hits["memory"] = found
            if self._top_texts is not None:
                self._top_texts.count(space.namespace, compress(texts, values))
        return work

    async def vectors(
        self, texts: list[str] | str, where: str, params: EmbedParams, caller: Caller
    ) -> tuple[npt.NDArray[np.float32], Work]:
        """Vectors `(n, dim)` float32 for another method's texts, and how they were come by;
        errors name the field `where`."""
        model = self._registry.loaded(params.model)
        if model is None:
            model = await self._registry.ensure(params.model)
            current_trace().lap("load")
        request = structs.replace(params, texts=self._texts_of(texts, where))
        work = self.begin(request, caller, model)
        work.where = where
        await self._fill(work)
        self._count(work)
        return vectors_of(work), work

    def namespace_of(self, name: str | None, caller: Caller) -> str:
        """The namespace of a request. Raises NamespaceNotFoundError for an undeclared one."""
        namespace = caller.namespace if name is None else name
        if namespace not in self._namespaces:
            raise NamespaceNotFoundError(
                f"namespace: {namespace!r} is not declared (declared: "
                f"{', '.join(sorted(self._namespaces))}). Add a section "
                f"[cache.namespaces.{namespace}] to the settings file and restart.",
                details={"field": "namespace"},
            )
        return namespace

    def checked_texts(self, texts: list[str] | str, where: str = "texts") -> list[str]:
        """The texts of a method that runs no model; raises InvalidParamsError or TextTooLongError
        for the first bad one."""
        found = self._texts_of(texts, where)
        for index, text in enumerate(found):
            if (error := self._fault_of(text)) is not None:
                raise _placed(error, where, index)
        return found

    async def _load_and_embed(self, params: EmbedParams, caller: Caller) -> dict[str, Any]:
        self._texts_of(params.texts, "texts")  # refuse bad input before a model is fetched for it
        deadline_s = None if params.deadline_ms is None else params.deadline_ms / 1e3
        try:
            async with asyncio.timeout(deadline_s):
                model = await self._registry.ensure(params.model)
        except TimeoutError:
            raise _deadline_passed(params) from None
        finally:
            current_trace().lap("load")
        return await self._finish(self.begin(params, caller, model))

    async def _finish(self, work: Work) -> dict[str, Any]:
        work = await self._filled(work)
        if len(work.texts) > _REPLY_ON_LOOP_TEXTS:
            reply = await asyncio.to_thread(reply_of, work)
            self._count(work)
            return reply
        return self._reply(work)

    def _reply(self, work: Work) -> dict[str, Any]:
        reply = reply_of(work)
        self._count(work)
        self._counts.truncated += len(reply.get("truncated", ()))
        return reply

    async def _filled(self, work: Work) -> Work:
        """The work with every value; that of the fallback model where the one that was asked for
        cannot be reached, and the request allows it."""
        began = time.monotonic()
        raised: UpstreamUnavailableError | None = None
        try:
            await self._fill(work)
        except UpstreamUnavailableError as exc:
            raised = exc
        outage = raised or _outage_in(work)
        if outage is not None:
            other = await self._instead_of(work, outage, time.monotonic() - began)
            if other is not None:
                return await self._filled(other)
        if raised is not None:
            raise raised
        return work

    async def _instead_of(
        self, work: Work, outage: UpstreamUnavailableError, seconds: float
    ) -> Work | None:
        """The same request to the fallback model, in the time that is left of it."""
        params, tried = work.params, (*work.tried, work.model.info.name)
        if self._fallbacks is None or not params.fallback or work.model.fallback in tried:
            return None
        left_s = None
        if params.deadline_ms is not None:
            left_s = max(params.deadline_ms / 1e3 - seconds, 1e-3)
            params = structs.replace(params, deadline_ms=left_s * 1e3)
        try:
            model = await self._fallbacks.find(work.model, outage, left_s)
        except TimeoutError:
            raise _deadline_passed(work.params) from None
        if model is None:
            return None
        try:
            other = self.begin(params, work.caller, model)
        except InvalidParamsError as exc:
            raise outage from exc  # fewer dimensions, or not the prompt that was asked for
        other.tried = tried
        return other

    async def _fill(self, work: Work) -> None:
        """Find or compute every value that the memory tier did not have."""
        trace = current_trace()
        trace.follow(work)
        trace.lap("memory")
        missing: dict[str, list[int]] = {}
        for index, value in enumerate(work.values):
            if value is None:
                missing.setdefault(work.texts[index], []).append(index)
        if not missing:
            return
        work.deduplicated += sum(map(len, missing.values())) - len(missing)
        self._refuse_bad_texts(work, missing)
        try:
            async with asyncio.timeout(
                None if work.params.deadline_ms is None else work.params.deadline_ms / 1e3
            ):
                await self._find_or_compute(work, missing)
        except TimeoutError:
            self._counts.failed += len(missing)
            raise _deadline_passed(work.params) from None

    async def _find_or_compute(self, work: Work, missing: dict[str, list[int]]) -> None:
        texts, trace = list(missing), current_trace()
        if not work.params.use_cache:
            self._take(work, missing, await self._compute(work, texts))
            return
        keys = (
            work.space.keys(texts)
            if len(texts) <= _REPLY_ON_LOOP_TEXTS
            else await asyncio.to_thread(work.space.keys, texts)
        )
        trace.lap("memory")
        timings: dict[str, float] = {}
        try:
            values, hits = await self._cache.lookup_tiers(
                work.space, texts, keys, value_size=work.model.value_size, timings=timings
            )
        finally:
            trace.tiers_asked(timings)
        for tier, count in hits.items():
            work.hits[tier] = work.hits.get(tier, 0) + count
        rest = [index for index, value in enumerate(values) if value is None]
        found = {texts[i]: value for i, value in enumerate(values) if value is not None}
        self._take(work, missing, found)
        if self._top_texts is not None:
            self._top_texts.count(work.space.namespace, found)
        if rest:
            rest_texts, rest_keys = [texts[i] for i in rest], [keys[i] for i in rest]
            self._take(work, missing, await self._compute(work, rest_texts, rest_keys))

    async def _compute(
        self, work: Work, texts: list[str], keys: list[bytes] | None = None
    ) -> dict[str, bytes | EmberdError]:
        """Compute what no tier had, where the rate limiters let it in; without keys, it is neither
        looked for among what others compute nor kept."""

        async def compute() -> dict[str, bytes | EmberdError]:
            try:
                async with self._registry.use(work.model):
                    if keys is None:
                        return await self._computations.uncached(work, texts)
                    return await self._computations.cached(work, texts, keys)
            finally:
                current_trace().computed()

        if self._admission is None:
            return await compute()
        return await self._admission.run(work, texts, compute)

    def _take(
        self,
        work: Work,
        missing: dict[str, list[int]],
        found: Mapping[str, bytes | EmberdError],
    ) -> None:
        """Put values and errors in the places of their texts; the first error ends the request
        unless it asked for partial results."""
        for text, value in found.items():
            for index in missing[text]:
                if isinstance(value, EmberdError):
                    self._fail(work, index, value)
                else:
                    work.values[index] = value

    def _fail(self, work: Work, index: int, error: EmberdError) -> None:
        self._counts.failed += 1
        placed = _placed(error, work.where, index)
        if not work.params.partial:
            raise placed
        work.errors[index] = placed
        work.values[index] = bytes(work.model.value_size)

    def _refuse_bad_texts(self, work: Work, missing: dict[str, list[int]]) -> None:
        """Settle texts that no model should see: not valid Unicode, or over the byte limit."""
        bad = {text: error for text in missing if (error := self._fault_of(text)) is not None}
        if bad:
            self._take(work, missing, bad)
            for text in bad:
                del missing[text]

    def _fault_of(self, text: str) -> EmberdError | None:
        limit = self._limits.text_bytes
        try:
            size = len(text) if text.isascii() else len(text.encode())
        except UnicodeEncodeError:
            return InvalidParamsError("the text is not valid UTF-8; encode it as UTF-8.")
        if size <= limit:
            return None
        return TextTooLongError(
            f"the text has {size} bytes and the limit is {limit}; split it into passages."
        )

    def _texts_of(self, texts: list[str] | str, where: str) -> list[str]:
        if isinstance(texts, str):
            return [texts]
        if not texts:
            raise InvalidParamsError(
                f"{where}: the list is empty; send at least one text.", details={"field": where}
            )
        if len(texts) > self._limits.texts:
            raise InvalidParamsError(
                f"{where}: {len(texts)} texts are over the limit of {self._limits.texts} a "
                "request; split them (emberd's Python clients do).",
                details={"field": where, "limit": self._limits.texts},
            )
        return texts

    def _count(self, work: Work) -> None:
        counts, caller = self._counts, work.caller
        found = sum(work.hits.values())
        counts.received += len(work.texts)
        counts.hits += found
        counts.deduplicated += work.deduplicated
        caller.texts += len(work.texts)
        caller.hits += found
        work.model.texts += len(work.texts)


def _outage_in(work: Work) -> UpstreamUnavailableError | None:
    """What a text failed with whose model could not be reached."""
    errors = work.errors.values()
    return next((error for error in errors if isinstance(error, UpstreamUnavailableError)), None)


def _placed(error: EmberdError, where: str, index: int) -> EmberdError:
    """The same error, told of the text that it is about."""
    return type(error)(
        f"{where}[{index}]: {error.message}",
        retry_after_ms=error.retry_after_ms,
        details={**error.details, "field": f"{where}[{index}]", "index": index},
    )


def _deadline_passed(params: EmbedParams) -> DeadlineExceededError:
    return DeadlineExceededError(
        f"Not done within deadline_ms={params.deadline_ms:g}; what was computed is cached, "
        "so a retry is quicker."
    )
