"""A model and the servers that have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emberd.errors import (
    EmberdError,
    InvalidParamsError,
    RateLimitedError,
    UpstreamUnavailableError,
)
from emberd.plugins import EmbedderModel, Truncate
from emberd_upstream.dims import KnownDims
from emberd_upstream.endpoint import Endpoint
from emberd_upstream.identity import fingerprint_of
from emberd_upstream.results import Mixed
from emberd_upstream.settings import ModelSettings
from emberd_upstream.transport import Transport

__all__ = ["UpstreamEmbedder"]

_HURRY_S = 1.0
_PROBE = "How many numbers has a vector?"


class UpstreamEmbedder:
    """One model; its servers are tried in order. Owned by the plugin's event loop.

    It keeps the transport open until `close`.
    """

    def __init__(
        self,
        name: str,
        settings: ModelSettings,
        api_key: str,
        transport: Transport,
        known_dims: KnownDims,
    ) -> None:
        self.name = name
        self.batch_texts = settings.batch_texts
        self.concurrency = settings.concurrency
        self._settings = settings
        self._remote = settings.model or name
        self._known_dims = known_dims
        self._transport: Transport | None = transport
        dim = settings.dim or settings.dimensions
        self.endpoints = [
            Endpoint(url, self._remote, settings, api_key, transport, dim) for url in settings.urls
        ]
        transport.acquire()

    async def models(self) -> Sequence[EmbedderModel]:
        """Its one model. Raises UpstreamUnavailableError or RateLimitedError where the settings do
        not say `dim` and no server was ever there to tell."""
        settings = self._settings
        dim = settings.dim or settings.dimensions or await self._found_dim()
        for endpoint in self.endpoints:
            endpoint.dim = dim
        return [
            EmbedderModel(
                name=self.name,
                fingerprint=fingerprint_of(self._remote, dim, settings.revision),
                dim=dim,
                max_tokens=settings.max_tokens,
                prompts=settings.prompts,
                licence=settings.licence,
                fallback=settings.fallback or None,
            )
        ]

    async def embed(self, model: str, texts: Sequence[str], truncate: Truncate) -> list[Mixed]:
        """See Embedder. OpenAI's servers cut nothing: a text that is too long for them fails."""
        if not texts:
            return []
        if truncate == "start" and self._settings.kind != "tei":
            return [_cannot_cut_start(self.name) for _ in texts]
        failures: list[EmberdError] = []
        for endpoint in self.endpoints:
            is_last = endpoint is self.endpoints[-1]
            patience_s = self._settings.max_wait_s
            try:
                # Where there is another one, there is no need to wait for this.
                return await endpoint.embed(
                    texts,
                    truncate,
                    patience_s=patience_s if is_last else min(patience_s, _HURRY_S),
                )
            except (RateLimitedError, UpstreamUnavailableError) as exc:
                failures.append(exc)
        raise _joined(self.name, failures)

    def stats(self) -> Mapping[str, int | float | str]:
        """Sums over its servers, and the state of each."""
        counts = [endpoint.counts for endpoint in self.endpoints]
        return {
            "requests": sum(each.requests for each in counts),
            "retries": sum(each.retries for each in counts),
            "rate_limited": sum(each.limited for each in counts),
            "failed": sum(each.failed for each in counts),
            "refused_texts": sum(each.refused_texts for each in counts),
            "tokens": sum(each.tokens for each in counts),
            "endpoints": ", ".join(
                f"{endpoint.host} {endpoint.breaker.state(endpoint.clock())}"
                for endpoint in self.endpoints
            ),
        }

    async def close(self) -> None:
        """Let go of the connections; the last model of the plugin closes them."""
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.release()

    async def _found_dim(self) -> int:
        key = (self._remote, self._settings.revision)
        if dim := self._known_dims.get(*key):
            return dim
        (found,) = await self.embed(self.name, [_PROBE], "end")
        if isinstance(found, EmberdError):
            raise UpstreamUnavailableError(
                f"{self.name}: {found.message} Its servers do not tell how many numbers a vector "
                "has; write dim in the settings."
            )
        dim = len(found.vector)
        self._known_dims.put(*key, dim)
        return dim


def _joined(name: str, failures: Sequence[EmberdError]) -> EmberdError:
    """One error for all servers: a wait where one of them asked for it, else an outage."""
    message = f"{name}: {' '.join(each.message for each in failures)}"
    limits = [each for each in failures if isinstance(each, RateLimitedError)]
    waits = [each.retry_after_ms for each in limits or failures if each.retry_after_ms is not None]
    kind = RateLimitedError if limits else UpstreamUnavailableError
    return kind(message, retry_after_ms=min(waits, default=None))


def _cannot_cut_start(name: str) -> EmberdError:
    return InvalidParamsError(
        f"truncate: the servers of {name} cannot cut the start of a text; use end or error.",
        details={"field": "truncate"},
    )
