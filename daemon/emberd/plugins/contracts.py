"""Contracts between the daemon's core and what can be plugged into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

import msgspec
import numpy as np
from numpy.typing import NDArray

from emberd.errors import EmberdError
from emberd.wire.snapshot import Snapshot, TierStats

__all__ = [
    "CacheTier",
    "Demand",
    "EmbeddedText",
    "Embedder",
    "EmbedderModel",
    "MetricsExporter",
    "Observer",
    "Outcome",
    "RateLimiter",
    "Record",
    "StatisticsSource",
    "Truncate",
]

Truncate = Literal["end", "start", "error"]


@runtime_checkable
class CacheTier(Protocol):
    """A cache tier below the memory tier: opaque 16-byte keys to opaque values.

    Every method may block; the chain calls them on its worker threads, several at a time, and
    never on the event loop. Whatever one raises is a miss (or a lost write), never a failed
    request, and trips the tier's breaker when it goes on. CacheUnavailableError says that what the
    tier depends on is away: the breaker asks again by itself, and the plugin does not trip. A
    value that comes back must be, byte for byte, one that was set under that key; the daemon adds
    a checksum of four bytes and takes any other for a miss and an error. See `Dated`,
    `Inspectable`, `Maintained` and `Tenanted` for what a tier may offer beside this.
    """

    name: str

    def get_many(self, namespace: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """One entry a key, in the order asked; None for a miss. Keys may repeat."""
        ...

    def set_many(self, namespace: str, items: Sequence[tuple[bytes, bytes]]) -> None:
        """Keep `(key, value)` pairs; the last of equal keys wins. May drop what does not fit."""
        ...

    def delete_many(self, namespace: str, keys: Sequence[bytes]) -> int:
        """Forget these keys; returns how many were there."""
        ...

    def clear(self, namespace: str | None = None) -> int:
        """Forget a namespace, or everything; returns the number of records."""
        ...

    def stats(self) -> TierStats:
        """Figures for the snapshot; cheap, called once a second."""
        ...

    def close(self) -> None:
        """Write what is pending and let go of files. A second call does nothing."""
        ...


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """Work that asks to be let in: texts that no cache tier had."""

    client: str
    """As the client said in `hello`, else the name of its process."""
    client_id: int
    """Of the connection; another one each time that a client connects."""
    namespace: str
    model: str
    texts: int
    tokens: int
    """An estimate, as texts are not cut into tokens yet: a token every four bytes."""
    priority: Literal["interactive", "bulk"]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How work ended that was let in."""

    status: Literal["ok", "failed", "limited", "cancelled"]
    """`limited`: an upstream server refused it for its rate."""
    seconds: float
    tokens: int = 0
    """As counted by the model; 0 where it did not come so far."""
    retry_after_s: float | None = None
    """What an upstream server asked for."""


@runtime_checkable
class RateLimiter(Protocol):
    """Lets work in or refuses it. Cache hits never ask.

    Called on the plugin's own thread, one call at a time, so it needs no locks. A limiter that
    raises anything but RateLimitedError, or takes longer than 50 ms, lets the work in: a broken
    limiter is an error of the plugin and never a failed request.
    """

    name: str

    def acquire(self, demand: Demand) -> object:
        """A ticket of the limiter's own. Raises RateLimitedError with `retry_after_ms`."""
        ...

    def report(self, ticket: object, outcome: Outcome) -> None:
        """Called exactly once for each ticket, also when the work was cancelled."""
        ...

    def stats(self) -> Mapping[str, int | float | str]:
        """Figures for the snapshot; cheap, called once a second."""
        ...

    def close(self) -> None:
        """Keep what must survive a restart. A second call does nothing."""
        ...


class EmbedderModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that an embedder answers with."""

    name: str
    """As requests name it; another embedder's or the store's model of that name goes first."""
    fingerprint: str
    """32 hex characters; equal fingerprints promise equal vectors, so it must change with
    everything that changes them."""
    dim: int
    max_tokens: int
    """0 where the embedder does not know; texts are then never refused for their length."""
    prompts: dict[str, str] = {}
    licence: str = "unknown"
    precision: str = "exact"
    fallback: str | None = None
    """Another model, by name, that answers a whole request when this one raises
    UpstreamUnavailableError; the reply then names that model and its fingerprint. Collections
    never fall back."""


class EmbeddedText(msgspec.Struct, frozen=True):
    """A vector and how it was come by."""

    vector: NDArray[np.float32]
    """(dim,) finite numbers; the daemon normalises it."""
    tokens: int = 0
    is_truncated: bool = False


@runtime_checkable
class Embedder(Protocol):
    """Computes vectors for models of its own.

    Its coroutines run on an event loop of the plugin's own, in a thread of the plugin's own:
    blocking there slows this plugin alone.
    """

    name: str
    batch_texts: int
    """Texts of one call, at most."""
    concurrency: int
    """Calls under way at the same time, at most."""

    async def models(self) -> Sequence[EmbedderModel]:
        """The models that it offers; asked at the start, and again later where that failed."""
        ...

    async def embed(
        self, model: str, texts: Sequence[str], truncate: Truncate
    ) -> Sequence[EmbeddedText | EmberdError]:
        """One entry a text, in order; an error fails its own text alone. What is raised fails the
        whole batch: RateLimitedError, UpstreamUnavailableError, else EmbeddingFailedError."""
        ...

    def stats(self) -> Mapping[str, int | float | str]:
        """Figures for the snapshot; cheap, called once a second."""
        ...

    async def close(self) -> None:
        """Let go of connections and threads. A second call does nothing."""
        ...


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a request or on the device."""

    kind: Literal["received", "finished", "failed", "batch"]
    time: float
    """Unix seconds."""
    method: str = ""
    """Of a request; "" for a batch."""
    client: str = ""
    client_id: int = 0
    request: int = 0
    """The same number for a request's records; 0 for a batch."""
    seconds: float = 0.0
    texts: int = 0
    tokens: int = 0
    error: str = ""
    """The error's code."""


@runtime_checkable
class Observer(Protocol):
    """Hears of requests and batches, some at a time, on the plugin's own thread.

    A bounded queue lies in between: an observer that is too slow misses records, which are counted.
    """

    name: str

    def observe(self, records: Sequence[Record]) -> None:
        """Between 1 and 1,000 records, oldest first."""
        ...


@runtime_checkable
class MetricsExporter(Protocol):
    """Takes the daemon's figures elsewhere: called once a second on the plugin's own thread."""

    name: str

    def export(self, snapshot: Snapshot) -> None:
        """The newest snapshot; one that comes while the last is still worked on is left out."""
        ...


@runtime_checkable
class StatisticsSource(Protocol):
    """Figures that `emberd plugins info` and the dashboard show beside the plugin's name."""

    def statistics(self) -> Mapping[str, int | float | str]:
        """Cheap, called once a second on the plugin's own thread."""
        ...
