"""The path of a text: memory, lower tiers, single flight, the engine; then the reply.

A request whose texts are all in the memory tier is answered without a task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import structs

from emberd.cache import Cache, KeySpace
from emberd.cache.values import unpack_value, unpack_values
from emberd.config import LimitSettings
from emberd.errors import (
    DeadlineExceededError,
    EmberdError,
    InvalidParamsError,
    NamespaceNotFoundError,
    TextTooLongError,
)
from emberd.service.callers import Caller
from emberd.service.compute import Computations
from emberd.service.params import EmbedParams
from emberd.service.registry import LoadedModel, ModelRegistry
from emberd.service.statistics import Statistics
from emberd.wire.vectors import encode_vectors, vectors_to_lists

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
    deduplicated: int = 0
    errors: dict[int, EmberdError] = field(default_factory=dict)
    where: str = "texts"
    """The parameter that holds the texts, for errors."""


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
    ) -> None:
        self._registry = registry
        self._cache = cache
        self._computations = computations
        self._counts = statistics.texts
        self._limits = limits
        self._namespaces = namespaces

    def embed(
        self, params: EmbedParams, caller: Caller
    ) -> dict[str, Any] | Coroutine[Any, Any, dict[str, Any]]:
        """The reply, or a coroutine for it where something must be waited for."""
        model = self._registry.loaded(params.model)
        if model is None:
            return self._load_and_embed(params, caller)
        work = self.begin(params, caller, model)
        if None in work.values or len(work.texts) > _REPLY_ON_LOOP_TEXTS:
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
        if params.use_cache:
            values = self._cache.lookup_memory(space, texts)
        else:
            values = [None] * len(texts)
        work = Work(params, caller, texts, model, space, values)
        found = len(texts) - values.count(None)
        if found:
            work.hits["memory"] = found
        return work

    async def vectors(
        self, texts: list[str] | str, where: str, params: EmbedParams, caller: Caller
    ) -> tuple[npt.NDArray[np.float32], Work]:
        """Vectors `(n, dim)` float32 for another method's texts, and how they were come by;
        errors name the field `where`."""
        model = self._registry.loaded(params.model) or await self._registry.ensure(params.model)
        request = structs.replace(params, texts=self._texts_of(texts, where))
        work = self.begin(request, caller, model)
        work.where = where
        await self._fill(work)
        self._count(work)
        return unpack_values(_known(work.values), model.info.dim, model.dtype)[0], work

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

    def checked_texts(self, texts: list[str] | str) -> list[str]:
        """The texts of a method that runs no model; raises InvalidParamsError or TextTooLongError
        for the first bad one."""
        found = self._texts_of(texts, "texts")
        for index, text in enumerate(found):
            if (error := self._fault_of(text)) is not None:
                raise _placed(error, "texts", index)
        return found

    async def _load_and_embed(self, params: EmbedParams, caller: Caller) -> dict[str, Any]:
        self._texts_of(params.texts, "texts")  # refuse bad input before a model is fetched for it
        deadline_s = None if params.deadline_ms is None else params.deadline_ms / 1e3
        try:
            async with asyncio.timeout(deadline_s):
                model = await self._registry.ensure(params.model)
        except TimeoutError:
            raise _deadline_passed(params) from None
        return await self._finish(self.begin(params, caller, model))

    async def _finish(self, work: Work) -> dict[str, Any]:
        await self._fill(work)
        if len(work.texts) > _REPLY_ON_LOOP_TEXTS:
            reply = await asyncio.to_thread(reply_of, work)
            self._count(work)
            return reply
        return self._reply(work)

    def _reply(self, work: Work) -> dict[str, Any]:
        reply = reply_of(work)
        self._count(work)
        self._counts.truncated += len(reply["truncated"])
        return reply

    async def _fill(self, work: Work) -> None:
        """Find or compute every value that the memory tier did not have."""
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
        texts = list(missing)
        if not work.params.use_cache:
            self._take(work, missing, await self._computations.uncached(work, texts))
            return
        keys = (
            work.space.keys(texts)
            if len(texts) <= _REPLY_ON_LOOP_TEXTS
            else await asyncio.to_thread(work.space.keys, texts)
        )
        values, hits = await self._cache.lookup_tiers(
            work.space, texts, keys, value_size=work.model.value_size
        )
        for tier, count in hits.items():
            work.hits[tier] = work.hits.get(tier, 0) + count
        rest = [index for index, value in enumerate(values) if value is None]
        found = {texts[i]: value for i, value in enumerate(values) if value is not None}
        self._take(work, missing, found)
        if rest:
            rest_texts, rest_keys = [texts[i] for i in rest], [keys[i] for i in rest]
            self._take(work, missing, await self._computations.cached(work, rest_texts, rest_keys))

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


def reply_of(work: Work) -> dict[str, Any]:
    """The result of `embed`; touches nothing shared, so it may run on any thread."""
    model, params, values = work.model, work.params, _known(work.values)
    if len(values) == 1:
        vector, tokens, is_truncated = unpack_value(values[0], model.info.dim, model.dtype)
        vectors, truncated = vector[None], [0] if is_truncated else []
    else:
        vectors, counts, cut = unpack_values(values, model.info.dim, model.dtype)
        tokens, truncated = int(counts.sum()), np.flatnonzero(cut).tolist()
    if params.dimensions is not None and params.dimensions < model.info.dim:
        vectors = cut_dimensions(vectors, params.dimensions)
    encode = encode_vectors if params.format == "bin" else vectors_to_lists
    return {
        "model": model.info.name,
        "fingerprint": model.fingerprint,
        "dim": vectors.shape[1],
        "count": len(values),
        "vectors": encode(vectors, params.dtype),
        "hits": work.hits,
        "computed": work.computed,
        "deduplicated": work.deduplicated,
        "tokens": tokens,
        "truncated": truncated,
        "errors": [
            {"index": index, **error.to_wire()} for index, error in sorted(work.errors.items())
        ],
    }


def cut_dimensions(vectors: npt.NDArray[np.float32], dimensions: int) -> npt.NDArray[np.float32]:
    """The first `dimensions` of each row, normalised again; a zero row stays zero."""
    cut = vectors[:, :dimensions]
    norms = np.linalg.norm(cut, axis=1, keepdims=True)
    return np.ascontiguousarray(cut / np.where(norms == 0, 1, norms), dtype=np.float32)


def _known(values: Sequence[bytes | None]) -> list[bytes]:
    return [value for value in values if value is not None]


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
