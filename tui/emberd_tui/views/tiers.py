"""The tiers of the cache in full, in the order they are asked."""

from __future__ import annotations

from emberd.wire.snapshot import Snapshot, TierStats
from emberd_tui.format import count, milliseconds, percent, size
from emberd_tui.frame import Frame
from emberd_tui.glyphs import Glyphs
from emberd_tui.parts import bar, box, figure, keep
from emberd_tui.spans import Line, Role, Span, clean, fit, pack

__all__ = ["tier_lines", "tiers_box"]

_NAME = 10
_ROOMY = 100


def tiers_box(frame: Frame, snapshot: Snapshot, width: int, height: int) -> list[Line]:
    """The panel; figures that matter least go first where room is short."""
    glyphs = frame.glyphs
    rows = keep(tier_lines(frame, snapshot, width - 4), height - 2)
    body = [(Span(" "), *fit(line, width - 4, glyphs.ellipsis)) for line in rows]
    ratio = percent(snapshot.texts.hit_ratio) if snapshot.texts.per_s else glyphs.none
    legend: Line = (Span("hit rate ", "muted"), Span(ratio.rjust(5), "hits"))
    return box((Span("Tiers", "title"),), legend, body, width, height, glyphs)


def tier_lines(frame: Frame, snapshot: Snapshot, width: int) -> list[tuple[int, Line]]:
    """`(rank, line)`: size, hits and troubles of each tier, then the writes behind."""
    ratios = frame.history.tier_ratios(frame.now, frame.window_s)
    asked = sum(tier.hits for tier in snapshot.cache.tiers)
    rows: list[tuple[int, Line]] = []
    for tier in snapshot.cache.tiers:
        rows.append((0, _size(tier, width, frame.glyphs)))
        rows.append((1, _hits(tier, ratios.get(tier.name), asked, width, frame.glyphs)))
        rows.append((2, _losses(tier, width, frame.glyphs)))
        if tier.state != "ok":
            what = clean(tier.message) or "see `emberd logs`"
            rows.append(
                (
                    0,
                    (
                        Span(
                            f"{frame.glyphs.warning} {tier.state.replace('_', '-')}: {what}",
                            "warning",
                        ),
                    ),
                )
            )
    if not rows:
        rows.append((0, (Span("No tier is on: every text is computed.", "warning"),)))
    behind = snapshot.cache.write_behind
    dropped: Role = "warning" if behind.dropped else "text"
    writes = [
        (0, figure(count(behind.queued), " queued", 14)),
        (0, figure(count(behind.written), " written", 15)),
        (0, (Span(count(behind.dropped), dropped), Span(" dropped", "muted"))),
    ]
    rows.append((1, (Span("writes".ljust(_NAME), "muted"), *pack(writes, width - _NAME))))
    return rows


def _size(tier: TierStats, width: int, glyphs: Glyphs) -> Line:
    """The name, and how much of its budget is full."""
    is_ok = tier.state == "ok"
    name: Line = (
        Span("" if is_ok else f"{glyphs.warning} ", "warning"),
        Span(clean(tier.name), "strong"),
    )
    share = tier.size_bytes / tier.budget_bytes if tier.budget_bytes else None
    budget = f"of {size(tier.budget_bytes)}" if tier.budget_bytes else "no budget"
    value = (
        f"{size(tier.size_bytes):>8} {budget:<11} {percent(share) if share is not None else '':>5}"
    )
    entries = f"  {count(tier.entries):>6} entries"
    room = width - _NAME - len(value) - len(entries) - 2
    drawn = bar(share or 0.0, room, "accent" if share is not None else "track", glyphs)
    return (
        *fit(name, _NAME - 1, glyphs.ellipsis),
        Span(" "),
        *drawn,
        Span(f"  {value}"),
        Span(entries, "muted"),
    )


def _hits(tier: TierStats, ratio: float | None, asked: int, width: int, glyphs: Glyphs) -> Line:
    """Hits in all and of what was asked; lookups."""
    share = percent(tier.hits / asked) if asked else glyphs.none
    p50, p99 = (
        milliseconds(value) if tier.lookup.count else glyphs.none
        for value in (tier.lookup.p50_ms, tier.lookup.p99_ms)
    )
    now = glyphs.none if ratio is None else percent(ratio)
    fields: list[tuple[int, Line]] = [
        (0, figure(count(tier.hits), " hits", 11, "hits")),
        (2, figure(share, " share", 11)),
        (0, figure(count(tier.misses), " misses", 13)),
        (3, figure(now, " found lately", 19)),
        (1, (Span("p50 ", "muted"), *figure(p50, "", 7))),
        (0, (Span("p99 ", "muted"), *figure(p99, "", 7))),
    ]
    return Span(" " * _NAME), *pack(fields, width - _NAME)


def _losses(tier: TierStats, width: int, glyphs: Glyphs) -> Line:
    figures = (
        (tier.evictions, " evicted", "text"),
        (tier.expired, " expired", "text"),
        (tier.corrupt, " corrupt", "warning"),
        (tier.errors, " errors", "bad"),
    )
    fields: list[tuple[int, Line]] = [
        (0, figure(count(value), name, 15 if width >= _ROOMY else 14, role if value else "faint"))  # type: ignore[arg-type]
        for value, name, role in figures
    ]
    return Span(" " * _NAME), *pack(fields, width - _NAME)
