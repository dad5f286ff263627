"""One snapshot as one line of figures: what `emberd stat` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emberd.wire.snapshot import Snapshot

__all__ = ["HEADER", "stat_line"]

_COLUMNS = (
    ("texts/s", 8),
    ("hit%", 5),
    ("comp/s", 7),
    ("tok/s", 8),
    ("p50 ms", 7),
    ("p99 ms", 7),
    ("queue", 6),
    ("busy%", 5),
    ("clients", 7),
    ("health", 8),
)

HEADER = "  ".join(name.rjust(width) for name, width in _COLUMNS)


def stat_line(snapshot: Snapshot) -> str:
    """The columns of HEADER; a dash where nothing happened, so that an idle daemon looks idle."""
    texts, latency, engine = snapshot.texts, snapshot.requests.latency, snapshot.engine
    state = snapshot.daemon.health if snapshot.daemon.state == "serving" else snapshot.daemon.state
    cells = (
        _rate(texts.per_s),
        f"{texts.hit_ratio * 100:.0f}" if texts.per_s else "-",
        _rate(texts.computed_per_s),
        _rate(engine.batches.tokens_per_s),
        _ms(latency.p50_ms) if latency.count else "-",
        _ms(latency.p99_ms) if latency.count else "-",
        str(engine.queue_texts),
        f"{engine.busy_ratio * 100:.0f}",
        str(len(snapshot.clients)),
        state,
    )
    return "  ".join(cell.rjust(width) for cell, (_, width) in zip(cells, _COLUMNS, strict=True))


def _rate(per_s: float) -> str:
    if per_s >= 99_950:
        return f"{per_s / 1000:.0f}k"
    return f"{per_s:.0f}" if per_s >= 9.95 else f"{per_s:.1f}"


def _ms(value: float) -> str:
    return f"{value:.0f}" if value >= 99.5 else f"{value:.2g}" if value < 1 else f"{value:.1f}"
