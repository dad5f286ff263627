"""What a person looks at beside the snapshot: history, requests, the log, a text in the cache.

Times are Unix seconds, durations seconds unless the name says milliseconds, sizes bytes. Readers
must ignore fields that they do not know.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

__all__ = [
    "CacheInspection",
    "HistoryColumns",
    "LogLine",
    "LogLines",
    "RequestRow",
    "RequestRows",
    "RequestStages",
    "TierFinding",
    "TopText",
    "TopTexts",
]


class _Part(msgspec.Struct, frozen=True, kw_only=True):
    """Unknown fields are ignored, so that newer daemons can be read."""


class HistoryColumns(_Part, frozen=True, kw_only=True):
    """Figures of the snapshots, a column every `step_s`, oldest first.

    Without any sample there are no columns and `end` is 0.
    """

    step_s: float
    end: float
    """Of the newest column, which may still be filling where `step_s` is over a second."""
    columns: dict[str, list[float | None]] = {}
    """By name; None is a gap: nothing was sampled then, or the figure makes no sense (a ratio or a
    latency of no requests). All are of one length."""


class LogLine(_Part, frozen=True, kw_only=True):
    """A record of the daemon's log."""

    time: float
    level: Literal["debug", "info", "warning", "error"]
    event: str
    """Stable name, for example `model.loaded`."""
    message: str = ""
    fields: dict[str, Any] = {}
    """Numbers, booleans and strings; `traceback` where there is one."""


class LogLines(_Part, frozen=True, kw_only=True):
    """Records, oldest first."""

    lines: list[LogLine] = []
    next: int = 0
    """To ask with, as `after`, for what came later."""


class TierFinding(_Part, frozen=True, kw_only=True):
    """What one tier has of a text."""

    tier: str
    found: bool = False
    age_s: float | None = None
    """Since the vector was made; None where the tier does not know."""
    size_bytes: int = 0
    """Of the value, without what the tier adds."""
    norm: float = 0.0
    """Of the vector; 1 but for rounding."""
    message: str = ""
    """Why the tier could not be asked."""


class CacheInspection(_Part, frozen=True, kw_only=True):
    """A text as the cache sees it."""

    model: str
    fingerprint: str
    key: str
    """As hexadecimal digits."""
    cached: bool = False
    """Whether any tier has it."""
    tiers: list[TierFinding] = []
    """In the order they are asked."""
    hits: int | None = None
    """Of the text in the namespace, whatever the model; None where `cache.top_texts` does not count
    it."""
    tokens: int = 0
    """That the model reads, or has read; an estimate for a plugin's model that has not."""


class TopText(_Part, frozen=True, kw_only=True):
    """A text and how often the cache has answered it."""

    text: str
    """Its first 200 characters."""
    characters: int = 0
    """Of the whole text."""
    hits: int = 0
    over: int = 0
    """By how much `hits` may be too many, at most: it took another text's place in the count."""


class TopTexts(_Part, frozen=True, kw_only=True):
    """The texts of a namespace with the most hits, most first."""

    namespace: str
    kept: int = 0
    """`cache.top_texts` of the settings; 0 is off, and then there are no texts."""
    message: str = ""
    """How to turn it on, where it is off."""
    since: float = 0.0
    """When the counting began; 0 before the first hit."""
    hits: int = 0
    """Of all texts of the namespace since then."""
    texts: list[TopText] = []


class RequestStages(_Part, frozen=True, kw_only=True):
    """Where a request's time went; a stage that it did not have is 0.

    Only requests that go beyond the memory tier are followed.
    """

    load: float = 0.0
    """Until the model was loaded."""
    memory: float = 0.0
    """Until the memory tier was asked, waiting for the event loop included."""
    tiers: dict[str, float] = {}
    """Of asking each tier below it."""
    admission: float = 0.0
    """At the rate limiters."""
    tokenise: float = 0.0
    """Until the first texts were tokens."""
    queue: float = 0.0
    """Until the first of them was on the device."""
    compute: float = 0.0
    """Until the last vector was there; all three, where the work was begun for others."""
    reply: float = 0.0
    """Putting the reply together, after the last vector."""


class RequestRow(_Part, frozen=True, kw_only=True):
    """A request that was answered."""

    id: int
    """As `request=` in the log, and as observers are told."""
    time: float
    """When it came."""
    method: str
    client: str = ""
    client_id: int = 0
    texts: int = 0
    hits: dict[str, int] = {}
    """By tier."""
    computed: int = 0
    seconds: float = 0.0
    error: str = ""
    """The code, where it failed."""
    stages: RequestStages = RequestStages()


class RequestRows(_Part, frozen=True, kw_only=True):
    """Requests in the order that was asked for."""

    requests: list[RequestRow] = []
    slow_ms: float = 0.0
    """`log.slow_ms` of the settings: what counts as slow; 0 is off."""
