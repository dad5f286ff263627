"""What the daemon has answered beyond its snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from emberd.client import Hit, PluginInfo
from emberd.wire.insight import (
    CacheInspection,
    HistoryColumns,
    LogLine,
    LogLines,
    RequestRows,
    TopTexts,
)
from emberd_tui.asks import AskSearch, RequestKind

__all__ = ["Answer", "Answers"]

Answer = (
    HistoryColumns
    | RequestRows
    | CacheInspection
    | TopTexts
    | LogLines
    | PluginInfo
    | list[Hit]
    | dict[str, int]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The newest answer to each kind of question."""

    plugin: PluginInfo | None = None
    hits: tuple[Hit, ...] = ()
    hits_of: AskSearch | None = None
    """What they answer; None before the first search."""
    inspection: CacheInspection | None = None
    top_texts: TopTexts | None = None
    requests: Mapping[RequestKind, RequestRows] = field(default_factory=dict)
    logs: tuple[tuple[int, LogLine], ...] = ()
    """Numbered as they came, oldest first."""
    log_next: int | None = None
    pasts: int = 0
    """How much of the time before this dashboard is known, in answers."""
    missing: frozenset[str] = frozenset()
    """Methods that this daemon does not have."""
