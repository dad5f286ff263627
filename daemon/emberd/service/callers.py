"""Who is asking: one record a connection, counted for the dashboard."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from emberd.telemetry import Histogram
from emberd.wire.snapshot import ClientLimit, ClientStats

__all__ = ["Caller"]


@dataclass(slots=True, eq=False)
class Caller:
    """A connection's identity and counts; owned by the event loop's thread."""

    id: int
    transport: Literal["unix", "tcp", "http"] = "unix"
    name: str = ""
    pid: int = 0
    namespace: str = "default"
    connected_at: float = field(default_factory=time.monotonic)
    in_flight: int = 0
    requests: int = 0
    failed: int = 0
    limited: int = 0
    limited_until: float = 0.0
    """When the last refusal of a rate limiter said that work fits again; of `time.monotonic`."""
    texts: int = 0
    hits: int = 0
    latency: Histogram = field(default_factory=Histogram)
    window: Counter[str] = field(default_factory=Counter)
    push: Callable[[dict[str, Any]], None] = lambda snapshot: None
    """Hands the newest snapshot to a subscriber; drops it where the last is still unsent."""
    name_of: Callable[[int], str] = lambda pid: ""
    """The name of a process; asked when somebody wants it, as it costs more than a request."""

    def named(self) -> str:
        """The name that the client gave, else that of its process."""
        if not self.name and self.pid:
            self.name = self.name_of(self.pid)
        return self.name

    def stats(self, window_s: float) -> ClientStats:
        """Figures for the snapshot; starts a new window."""
        latency = self.latency.take()
        texts = self.texts - self.window["texts"]
        hits = self.hits - self.window["hits"]
        self.window["texts"], self.window["hits"] = self.texts, self.hits
        return ClientStats(
            id=self.id,
            name=self.name,
            pid=self.pid,
            transport=self.transport,
            connected_s=time.monotonic() - self.connected_at,
            in_flight=self.in_flight,
            requests=self.requests,
            failed=self.failed,
            limited=self.limited,
            texts=self.texts,
            texts_per_s=texts / window_s,
            hit_ratio=hits / texts if texts else 0.0,
            p50_ms=latency.p50_ms,
            p99_ms=latency.p99_ms,
        )

    def limit(self, told: ClientLimit | None) -> ClientLimit | None:
        """What the limiters tell; where they do not tell of a limit, what the last refusal said."""
        left_s = self.limited_until - time.monotonic()
        if left_s <= 0 or (told is not None and told.state == "limited"):
            return told
        return ClientLimit(state="limited", retry_after_s=left_s)
