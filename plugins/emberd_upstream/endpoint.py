"""One server of a model: attempts, patience, and when to leave it alone."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from emberd.errors import EmberdError, RateLimitedError, UpstreamUnavailableError
from emberd.plugins import Truncate
from emberd_upstream.breaker import Breaker
from emberd_upstream.dialects import Answer, MalformedError, address_of, body_of, read_answer
from emberd_upstream.pace import Pace, TooSlowError, estimated_tokens
from emberd_upstream.refusals import Meaning, meaning_of, reason_in, text_error
from emberd_upstream.results import Mixed, embedded_texts
from emberd_upstream.settings import ModelSettings
from emberd_upstream.transport import Reply, Transport, UnreachableError
from emberd_upstream.waiting import asked_wait_s, backoff_s

__all__ = ["Counts", "Endpoint"]

_KEY_MASK = "***"
_TRIAL_S = 0.5


@dataclass(slots=True)
class Counts:
    """Since the start."""

    requests: int = 0
    retries: int = 0
    limited: int = 0
    failed: int = 0
    refused_texts: int = 0
    tokens: int = 0


class _Failure(Exception):  # noqa: N818 - what an attempt came to, not an error to be shown
    def __init__(self, meaning: Meaning, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.meaning = meaning
        self.reason = reason
        self.status = status
        self.wait_s: float | None = None


@dataclass(slots=True, eq=False, repr=False)
class Endpoint:
    """Owned by the plugin's event loop. It has no repr, as it holds the key."""

    url: str
    model: str
    settings: ModelSettings
    api_key: str
    transport: Transport
    dim: int = 0
    """Of its vectors; 0 while nobody knows."""
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    counts: Counts = field(default_factory=Counts)
    breaker: Breaker = field(default_factory=Breaker)
    _pace: Pace = field(init=False)
    _takes_base64: bool | None = None
    _patient_until: float = 0.0

    def __post_init__(self) -> None:
        settings = self.settings
        self._pace = Pace(
            settings.requests_per_minute,
            settings.tokens_per_minute,
            clock=self.clock,
            sleep=self.sleep,
        )
        if settings.kind != "openai":
            self._takes_base64 = False

    @property
    def host(self) -> str:
        """For people; the rest of the address may hold what is nobody's business."""
        return urlsplit(self.url).netloc

    async def embed(
        self, texts: Sequence[str], truncate: Truncate, *, patience_s: float
    ) -> list[Mixed]:
        """A vector or an error for each text; `patience_s` bounds all waiting of this call.

        A batch that is refused for its content is halved until one text is refused by itself.
        Raises UpstreamUnavailableError and RateLimitedError.
        """
        try:
            answer = await self._answer(texts, truncate, self.clock() + patience_s)
        except _Failure as failure:
            if failure.meaning != "bad_text":
                raise self._error_of(failure) from failure
            if len(texts) == 1:
                self.counts.refused_texts += 1
                return [text_error(failure.status, failure.reason)]
            middle = len(texts) // 2
            return [
                *await self.embed(texts[:middle], truncate, patience_s=patience_s),
                *await self.embed(texts[middle:], truncate, patience_s=patience_s),
            ]
        return embedded_texts(answer, texts)

    async def _answer(self, texts: Sequence[str], truncate: Truncate, until: float) -> Answer:
        """The answer to one batch, after as many attempts as are allowed. Raises _Failure."""
        for attempt in itertools.count():
            try:
                return await self._attempt(texts, truncate, until)
            except _Failure as failure:
                if failure.meaning not in ("limited", "outage"):
                    raise
                wait_s = backoff_s(attempt) if failure.wait_s is None else failure.wait_s
                failure.wait_s = wait_s
                is_last = attempt >= self.settings.retries
                if is_last or self._is_closed_off() or self.clock() + wait_s > until:
                    raise
            self.counts.retries += 1
            await self.sleep(wait_s)
        raise AssertionError  # it counts for ever

    async def _attempt(self, texts: Sequence[str], truncate: Truncate, until: float) -> Answer:
        await self._wait_for_turn(texts, until)
        if not self.breaker.enter(self.clock()):
            failure = _Failure("refused", "it failed several times and is left alone for a while")
            failure.wait_s = max(self.breaker.wait_s(self.clock()), _TRIAL_S)
            raise failure
        try:
            answer = await self._exchange(texts, truncate)
        except _Failure as failure:
            self._judge(failure)
            raise
        except BaseException:
            self.breaker.left()
            raise
        self.breaker.succeeded()
        return answer

    async def _wait_for_turn(self, texts: Sequence[str], until: float) -> None:
        """Until the server's patience and our own rate allow it. Raises _Failure."""
        wait_s = self._patient_until - self.clock()
        if wait_s > 0:
            if self.clock() + wait_s > until:
                raise self._limited("it asked for patience", wait_s)
            await self.sleep(wait_s)
        try:
            await self._pace.enter(estimated_tokens(texts), until - self.clock())
        except TooSlowError as exc:
            raise self._limited("its rate in the settings is used up", exc.wait_s) from exc

    async def _exchange(self, texts: Sequence[str], truncate: Truncate) -> Answer:
        """One request; two where it must be found out whether the server takes base64."""
        is_base64 = self._takes_base64 is not False
        try:
            answer = await self._post(texts, truncate, is_base64=is_base64)
        except _Failure as failure:
            if failure.meaning != "bad_text" or self._takes_base64 is not None:
                raise
            answer = await self._post(texts, truncate, is_base64=False)
            is_base64 = False
        self._takes_base64 = is_base64
        return answer

    async def _post(self, texts: Sequence[str], truncate: Truncate, *, is_base64: bool) -> Answer:
        settings = self.settings
        self.counts.requests += 1
        try:
            reply = await self.transport.post(
                address_of(self.url, settings.kind),
                body_of(
                    settings.kind,
                    self.model,
                    texts,
                    truncate,
                    dimensions=settings.dimensions,
                    is_base64=is_base64,
                ),
                {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {},
                timeout_s=settings.timeout_s,
                connect_timeout_s=settings.connect_timeout_s,
                verify_tls=settings.verify_tls,
            )
        except UnreachableError as exc:
            raise _Failure("outage", self._shown(str(exc))) from exc
        if reply.status != 200:
            raise self._refusal(reply)
        return self._read(reply, texts)

    def _read(self, reply: Reply, texts: Sequence[str]) -> Answer:
        try:
            answer = read_answer(self.settings.kind, reply.body, reply.headers, len(texts))
        except MalformedError as exc:
            raise _Failure("outage", self._shown(str(exc))) from exc
        dims = {len(row) for row in answer.rows}
        if self.dim and dims - {self.dim}:
            found = ", ".join(map(str, sorted(dims)))
            raise _Failure(
                "refused",
                f"vectors of {found} numbers where {self.dim} belong; correct dim, or change "
                "revision where the model is another one now",
            )
        self.counts.tokens += answer.tokens
        self._pace.settle(estimated_tokens(texts), answer.tokens)
        return answer

    def _refusal(self, reply: Reply) -> _Failure:
        reason = self._shown(reason_in(reply.body))
        failure = _Failure(meaning_of(reply.status, reason), reason, reply.status)
        if failure.meaning in ("limited", "outage"):
            failure.wait_s = asked_wait_s(reply.headers)
        return failure

    def _judge(self, failure: _Failure) -> None:
        """What a failure says of the server."""
        now = self.clock()
        if failure.meaning == "bad_text":
            self.breaker.succeeded()
        elif failure.meaning == "limited":
            self.breaker.left()
            self.counts.limited += 1
            if failure.wait_s is not None:
                self._patient_until = max(self._patient_until, now + failure.wait_s)
        else:
            self.breaker.failed(now)
            self.counts.failed += 1

    def _is_closed_off(self) -> bool:
        return self.breaker.wait_s(self.clock()) > 0

    def _limited(self, reason: str, wait_s: float) -> _Failure:
        failure = _Failure("limited", reason)
        failure.wait_s = wait_s
        return failure

    def _error_of(self, failure: _Failure) -> EmberdError:
        status = f"HTTP {failure.status}: " if failure.status else ""
        what = f"{self.host}: {status}{failure.reason}"
        retry_after_ms = None if failure.wait_s is None else max(math.ceil(failure.wait_s * 1e3), 1)
        if failure.meaning == "limited":
            return RateLimitedError(
                f"{what}. Try again later.", retry_after_ms=retry_after_ms or 1_000
            )
        help_of = {401: " Check the API key.", 403: " Check the API key.", 404: " Check the URL."}
        return UpstreamUnavailableError(
            f"{what}.{help_of.get(failure.status, '')}", retry_after_ms=retry_after_ms
        )

    def _shown(self, text: str) -> str:
        """Servers like to repeat a wrong key."""
        return text.replace(self.api_key, _KEY_MASK) if self.api_key else text
