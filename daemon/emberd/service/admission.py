"""Asking the rate limiters before anything is computed; cache hits never come here.

A limiter's calls run in order on its plugin's thread, so a ticket is always there before its
report, even when the one who waited for it has long gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from emberd.errors import EmberdError, RateLimitedError
from emberd.plugins.contracts import Demand, Outcome, RateLimiter
from emberd.service.compute import priority_of
from emberd.service.trace import current_trace

if TYPE_CHECKING:
    from emberd.plugins.plugged import Plugged
    from emberd.service.embedding import Work

__all__ = ["ACQUIRE_S", "Admission"]

ACQUIRE_S: Final = 0.05
"""A plugin whose limiters take longer than this together lets the work in."""
_BYTES_A_TOKEN = 4
_RETRY_AFTER_MS = 1_000  # for a refusal that does not say

Results = TypeVar("Results", bound=Mapping[str, Any])


class Admission:
    """Owned by the event loop's thread; `limiters` is not empty."""

    def __init__(self, limiters: Sequence[Plugged[RateLimiter]]) -> None:
        by_plugin: dict[str, list[Plugged[RateLimiter]]] = {}
        for limiter in limiters:
            by_plugin.setdefault(limiter.plugin, []).append(limiter)
        self._groups = list(by_plugin.values())

    async def run(
        self, work: Work, texts: Sequence[str], compute: Callable[[], Awaitable[Results]]
    ) -> Results:
        """The results of `compute()`, a value or an error for each text, where every limiter lets
        it in. Raises RateLimitedError with the longest wait of all that refused."""
        demand = _demand_of(work, texts)
        visits = [_Visit(group, demand) for group in self._groups if group[0].guard.is_active]
        try:
            await _enter(visits)
        except BaseException as exc:
            if isinstance(exc, RateLimitedError):
                work.caller.limited += 1
                work.caller.limited_until = time.monotonic() + (exc.retry_after_ms or 0) / 1e3
            _leave(visits, Outcome(status="cancelled", seconds=0.0))
            raise
        finally:
            current_trace().lap("admission")
        began = time.monotonic()
        ends: Collection[object] = ()
        try:
            results = await compute()
            ends = results.values()
        except BaseException as exc:
            ends = [exc]
            raise
        finally:
            seconds = time.monotonic() - began
            _leave(visits, _outcome_of(ends, seconds, work.computed_tokens))
        return results


class _Visit:
    """One demand at the limiters of one plugin. Tickets live on the plugin's thread alone."""

    def __init__(self, group: Sequence[Plugged[RateLimiter]], demand: Demand) -> None:
        self._limiters = [plugged.object for plugged in group]
        self._plugin = group[0].plugin
        self._guard = group[0].guard
        self._thread = group[0].thread
        self._demand = demand
        self._tickets: list[tuple[RateLimiter, object]] = []
        self._refusals: list[RateLimitedError] = []
        self._was_sent = self._is_answered = False

    async def enter(self) -> list[RateLimitedError]:
        """Every refusal; none where the plugin fails or is too slow, which counts as an error."""
        if not self._thread.is_stuck:
            self._was_sent = True
            try:
                await self._thread.run(self._acquire, ACQUIRE_S)
            except TimeoutError:
                pass  # the answer may be there all the same, when the event loop itself was late
            except Exception:
                return []
        if not self._is_answered:
            self._guard.failed(f"acquire took longer than {ACQUIRE_S * 1e3:.0f} ms")
            return []
        return self._refusals

    def leave(self, outcome: Outcome) -> None:
        """Report every ticket, also those that are still to come; called once."""
        if self._was_sent:
            self._thread.submit(lambda: self._report(outcome))

    def _acquire(self) -> None:
        for limiter in self._limiters:
            try:
                with self._guard.watch():
                    ticket = limiter.acquire(self._demand)
            except RateLimitedError as exc:
                self._refusals.append(_refusal(exc, limiter.name, self._plugin))
            except BaseException:  # noqa: S112 - the guard has counted it
                continue
            else:
                self._tickets.append((limiter, ticket))
        self._is_answered = True

    def _report(self, outcome: Outcome) -> None:
        for limiter, ticket in self._tickets:
            with contextlib.suppress(BaseException), self._guard.watch():
                limiter.report(ticket, outcome)


def _demand_of(work: Work, texts: Sequence[str]) -> Demand:
    """What the limiters are told of texts that have to be computed."""
    size = sum(len(text) if text.isascii() else len(text.encode()) for text in texts)
    size += len(work.space.prompt) * len(texts)
    return Demand(
        client=work.caller.named(),
        client_id=work.caller.id,
        namespace=work.space.namespace,
        model=work.model.info.name,
        texts=len(texts),
        tokens=max(math.ceil(size / _BYTES_A_TOKEN), len(texts)),
        priority=work.params.priority or priority_of(len(texts)),
    )


async def _enter(visits: Sequence[_Visit]) -> None:
    answers = await asyncio.gather(*[visit.enter() for visit in visits])
    refusals = [refusal for answer in answers for refusal in answer]
    if refusals:
        raise max(refusals, key=lambda refusal: refusal.retry_after_ms or 0)


def _leave(visits: Sequence[_Visit], outcome: Outcome) -> None:
    for visit in visits:
        visit.leave(outcome)


def _outcome_of(results: Collection[object], seconds: float, tokens: int) -> Outcome:
    """How work ended, from the values and errors of its texts."""
    limits = [result for result in results if isinstance(result, RateLimitedError)]
    waits = [limit.retry_after_ms / 1e3 for limit in limits if limit.retry_after_ms is not None]
    if limits:
        return Outcome(
            status="limited",
            seconds=seconds,
            tokens=tokens,
            retry_after_s=max(waits, default=None),
        )
    if any(isinstance(result, asyncio.CancelledError) for result in results):
        return Outcome(status="cancelled", seconds=seconds, tokens=tokens)
    is_ok = any(not isinstance(result, BaseException) for result in results)
    return Outcome(status="ok" if is_ok else "failed", seconds=seconds, tokens=tokens)


def _refusal(error: EmberdError, limiter: str, plugin: str) -> RateLimitedError:
    wait_ms: Any = error.retry_after_ms
    if not isinstance(wait_ms, int | float) or not math.isfinite(wait_ms) or wait_ms <= 0:
        wait_ms = _RETRY_AFTER_MS
    return RateLimitedError(
        str(error.message),
        retry_after_ms=math.ceil(wait_ms),
        details={**error.details, "limiter": limiter, "plugin": plugin},
    )
