"""The requests panel: latencies, counts, and the methods."""

from __future__ import annotations

from emberd.wire.snapshot import Latency, MethodStats, Snapshot
from emberd_tui.format import count, milliseconds, rate
from emberd_tui.frame import Frame
from emberd_tui.glyphs import Glyphs
from emberd_tui.parts import Column, box, keep, table
from emberd_tui.spans import Line, Span, clean, fit, pack

__all__ = ["latency_fields", "requests"]

_Row = tuple[str, MethodStats]


def requests(frame: Frame, snapshot: Snapshot, width: int, height: int) -> list[Line]:
    """Embed latencies of the last window, then every method since the start."""
    inner, room = width - 4, height - 2
    glyphs = frame.glyphs
    rows: list[tuple[int, Line]] = [
        (0, pack(latency_fields(snapshot.requests.latency, glyphs), inner)),
        (1, _texts(snapshot, inner)),
    ]
    methods = sorted(snapshot.requests.methods.items(), key=lambda item: -item[1].requests)
    if methods:
        rows += [(2, line) for line in table(_columns(glyphs), methods, inner, glyphs)]
    body = [(Span(" "), *fit(line, inner, glyphs.ellipsis)) for line in keep(rows, room)]
    return box((Span("Requests", "title"),), _legend(snapshot), body, width, height, glyphs)


def latency_fields(latency: Latency, glyphs: Glyphs) -> list[tuple[int, Line]]:
    """p50, p90, p99 and the longest, as fields to pack."""
    figures = (
        (0, "p50", latency.p50_ms),
        (1, "p90", latency.p90_ms),
        (0, "p99", latency.p99_ms),
        (2, "max", latency.max_ms),
    )
    return [
        (rank, (Span(f"{name} ", "muted"), Span(_ms(value, latency.count, glyphs))))
        for rank, name, value in figures
    ]


def _ms(value: float, counted: int, glyphs: Glyphs) -> str:
    return (milliseconds(value) if counted else glyphs.none).ljust(7)


def _legend(snapshot: Snapshot) -> Line:
    stats = snapshot.requests
    return (
        Span(f"{rate(stats.per_s):>6}", "strong"),
        Span("/s  ", "muted"),
        Span(f"{count(stats.in_flight):>4}", "strong"),
        Span(" in flight", "muted"),
    )


def _texts(snapshot: Snapshot, width: int) -> Line:
    texts = snapshot.texts
    failed = Span(count(texts.failed), "bad" if texts.failed else "text")
    fields: list[tuple[int, Line]] = [
        (0, (Span("texts ", "muted"), Span(count(texts.received)))),
        (1, (failed, Span(" failed", "muted"))),
        (2, (Span(count(texts.deduplicated)), Span(" deduplicated", "muted"))),
        (3, (Span(count(texts.truncated)), Span(" truncated", "muted"))),
    ]
    return pack(fields, width)


def _columns(glyphs: Glyphs) -> list[Column[_Row]]:
    return [
        Column("method", 12, lambda row: (Span(clean(row[0])),), align="left", is_elastic=True),
        Column("total", 6, lambda row: (Span(count(row[1].requests)),)),
        Column("failed", 6, lambda row: (_failed(row[1].failed),), rank=2),
        Column("p50", 7, lambda row: (_latency(row[1].latency.p50_ms, row, glyphs),), rank=3),
        Column("p99", 7, lambda row: (_latency(row[1].latency.p99_ms, row, glyphs),), rank=1),
    ]


def _failed(failed: int) -> Span:
    return Span(count(failed), "bad" if failed else "faint")


def _latency(value: float, row: _Row, glyphs: Glyphs) -> Span:
    counted = row[1].latency.count
    return Span(milliseconds(value)) if counted else Span(glyphs.none, "faint")
