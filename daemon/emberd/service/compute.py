"""Computing what no tier had: once a key, kept as soon as it is there, told to all who wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from emberd.cache import Cache, Flights
from emberd.engine import Embedded, Engine
from emberd.errors import CancelledRequestError, EmberdError, InternalError
from emberd.records.values import pack_values
from emberd.service.loaded_model import LoadedModel
from emberd.service.statistics import Statistics
from emberd.service.trace import current_trace

if TYPE_CHECKING:
    from emberd.service.embedding import Work

__all__ = ["Computations", "priority_of"]

_INTERACTIVE_TEXTS = 16
_TEXTS_A_TURN = 512

T = TypeVar("T")
Outcome = bytes | EmberdError


@dataclass(slots=True, eq=False)
class _Landing:
    """One text under computation; `value` is settled with its cached form."""

    work: Work
    """Of the request that began it; others may wait for it too."""
    text: str
    key: bytes
    value: asyncio.Future[bytes]
    embedded: asyncio.Future[Embedded]

    def follow(self) -> None:
        """Who waits for the value has gone: the engine need not compute it."""
        self.value.add_done_callback(
            lambda value: self.embedded.cancel() if value.cancelled() else None
        )


class Computations:
    """Owned by the event loop's thread."""

    def __init__(self, engine: Engine, cache: Cache, statistics: Statistics) -> None:
        self._engine = engine
        self._cache = cache
        self._counts = statistics.texts
        self._flights: Flights[tuple[str, bytes], bytes] = Flights()
        self._landed: list[_Landing] = []

    async def cached(
        self, work: Work, texts: list[str], keys: list[bytes]
    ) -> dict[str, bytes | EmberdError]:
        """The value (or the error) of each text; texts that another request is computing are
        waited for instead of computed again.

        Raises OverloadedError where the engine's queue is full.
        """
        futures: list[asyncio.Future[bytes]] = []
        led: set[str] = set()
        try:
            for part in _slices(len(texts)):
                futures += self._join(work, texts[part], keys[part], led, len(texts))
                await asyncio.sleep(0)
        except BaseException:
            _leave(futures)
            raise
        outcomes = await _outcomes(texts, futures)
        good = [text for text, outcome in outcomes.items() if isinstance(outcome, bytes)]
        computed = sum(1 for text in good if text in led)
        work.computed += computed
        work.deduplicated += len(good) - computed
        return outcomes

    async def uncached(self, work: Work, texts: list[str]) -> dict[str, bytes | EmberdError]:
        """The value (or the error) of each text, computed whatever the cache holds."""
        embedded: list[asyncio.Future[Embedded]] = []
        try:
            for part in _slices(len(texts)):
                embedded += self._submit(work, texts[part], len(texts))
                await asyncio.sleep(0)
        except BaseException:
            _leave(embedded)
            raise
        outcomes: dict[str, Outcome] = {}
        good: list[tuple[str, Embedded]] = []
        try:
            results = await _outcomes(texts, embedded)
        finally:
            work.computed_tokens += _tokens_of(embedded)
        for text, result in results.items():
            if isinstance(result, EmberdError):
                outcomes[text] = result
            else:
                good.append((text, result))
        values = _pack([result for _, result in good], work.model)
        outcomes.update(zip((text for text, _ in good), values, strict=True))
        work.computed += len(good)
        self._counts.computed += len(good)
        return outcomes

    def _join(
        self, work: Work, texts: list[str], keys: list[bytes], led: set[str], wanted: int
    ) -> list[asyncio.Future[bytes]]:
        """Wait for these texts, and start those that nobody has started; `led` gets them."""
        flights = [(work.space.namespace, key) for key in keys]
        futures, leaders = self._flights.join(flights)
        led.update(texts[i] for i in leaders)
        try:
            self._launch(work, [texts[i] for i in leaders], [keys[i] for i in leaders], wanted)
        except EmberdError as exc:
            self._flights.fail([flights[i] for i in leaders], exc)
            _leave(futures)
            raise
        return futures

    def _submit(
        self, work: Work, texts: Sequence[str], wanted: int
    ) -> list[asyncio.Future[Embedded]]:
        prefix = work.space.prompt
        contents = [prefix + text for text in texts] if prefix else texts
        truncate = work.params.truncate
        priority = work.params.priority or priority_of(wanted)
        if (plugged := work.model.plugged) is not None:
            futures = plugged.submit(contents, truncate=truncate, priority=priority)
        else:
            futures = self._engine.submit(
                work.model.fingerprint, contents, truncate=truncate, priority=priority
            )
        current_trace().asked(futures)
        return futures

    def _launch(self, work: Work, texts: list[str], keys: list[bytes], wanted: int) -> None:
        if not texts:
            return
        create_future = asyncio.get_running_loop().create_future
        submitted = self._submit(work, texts, wanted)
        landings = [
            _Landing(work, text, key, create_future(), embedded)
            for text, key, embedded in zip(texts, keys, submitted, strict=True)
        ]
        for landing in landings:
            landing.follow()
            landing.embedded.add_done_callback(partial(self._land, landing))
        namespace = work.space.namespace
        self._flights.launch(
            [(namespace, key) for key in keys], [landing.value for landing in landings]
        )

    def _land(self, landing: _Landing, _: asyncio.Future[Embedded]) -> None:
        """Texts of one batch land together: keep and tell them together."""
        if not self._landed:
            asyncio.get_running_loop().call_soon(self._settle)
        self._landed.append(landing)

    def _settle(self) -> None:
        landed, self._landed = self._landed, []
        good: dict[int, list[_Landing]] = {}
        for landing in landed:
            if landing.embedded.cancelled():
                landing.value.cancel()
            elif (error := landing.embedded.exception()) is not None:
                if not landing.value.done():
                    landing.value.set_exception(error)
            else:
                good.setdefault(id(landing.work.space), []).append(landing)
        for group in good.values():
            self._keep(group)

    def _keep(self, landings: list[_Landing]) -> None:
        first = landings[0].work
        results = [landing.embedded.result() for landing in landings]
        values = _pack(results, first.model)
        self._counts.computed += len(values)  # now, and not when the request ends: it may be long
        self._cache.store(
            first.space,
            [landing.text for landing in landings],
            [landing.key for landing in landings],
            values,
        )
        for landing, result, value in zip(landings, results, values, strict=True):
            landing.work.computed_tokens += result.tokens
            if not landing.value.done():
                landing.value.set_result(value)


def _pack(results: Sequence[Embedded], model: LoadedModel) -> list[bytes]:
    if not results:
        return []
    return pack_values(
        np.stack([result.vector for result in results]),
        [result.tokens for result in results],
        [result.truncated for result in results],
        model.dtype,
    )


def priority_of(texts: int) -> Literal["interactive", "bulk"]:
    """The priority of a request that names none."""
    return "interactive" if texts <= _INTERACTIVE_TEXTS else "bulk"


def _slices(count: int) -> Iterator[slice]:
    """Parts that keep the event loop busy for a few milliseconds each."""
    return (slice(start, start + _TEXTS_A_TURN) for start in range(0, count, _TEXTS_A_TURN))


def _tokens_of(futures: Sequence[asyncio.Future[Embedded]]) -> int:
    """Tokens of what is there."""
    return sum(
        future.result().tokens
        for future in futures
        if future.done() and not future.cancelled() and future.exception() is None
    )


def _leave(futures: Sequence[asyncio.Future[Any]]) -> None:
    for future in futures:
        future.cancel()


async def _outcomes(
    texts: Sequence[str], futures: Sequence[asyncio.Future[T]]
) -> dict[str, T | EmberdError]:
    # gather cancels the futures when this request is cancelled: that is leaving the flights.
    results = await asyncio.gather(*futures, return_exceptions=True)
    return {
        text: _as_error(result) if isinstance(result, BaseException) else result
        for text, result in zip(texts, results, strict=True)
    }


def _as_error(error: BaseException) -> EmberdError:
    if isinstance(error, EmberdError):
        return error
    if isinstance(error, asyncio.CancelledError):
        return CancelledRequestError("The computation was given up. Ask again.")
    return InternalError(f"{type(error).__name__}: {error}. `emberd logs` has more.")
