"""The cache panel: each tier's hit rate and size, and what the cache has saved."""

from __future__ import annotations

from emberd.wire.snapshot import Snapshot, TierStats
from emberd_tui.format import count, duration, milliseconds, percent, size
from emberd_tui.frame import Frame
from emberd_tui.glyphs import Glyphs
from emberd_tui.parts import box, figure, keep, meter
from emberd_tui.spans import Line, Role, Span, clean, fit, justify, pack

__all__ = ["cache"]

_NAME = 8
_ROOMY = 34


def cache(frame: Frame, snapshot: Snapshot, width: int, height: int) -> list[Line]:
    """Tiers in the order they are asked; hit rates over the window that the plots show."""
    inner, room = width - 4, height - 2
    rows = keep(_rows(frame, snapshot, inner, room), room)
    body = [(Span(" "), *fit(line, inner, frame.glyphs.ellipsis)) for line in rows]
    ratio = percent(snapshot.texts.hit_ratio) if snapshot.texts.per_s else frame.glyphs.none
    legend: Line = (Span("hit rate ", "muted"), Span(ratio.rjust(5), "hits"))
    return box((Span("Cache", "title"),), legend, body, width, height, frame.glyphs)


def _rows(frame: Frame, snapshot: Snapshot, width: int, room: int) -> list[tuple[int, Line]]:
    glyphs, tiers = frame.glyphs, snapshot.cache.tiers
    ratios = frame.history.tier_ratios(frame.now, frame.window_s)
    is_terse = 2 * len(tiers) + 1 > room
    rows: list[tuple[int, Line]] = []
    for tier in tiers:
        ratio = ratios.get(tier.name)
        if is_terse:
            rows.append((0, _terse(tier, ratio, width, glyphs)))
        else:
            rows.append((0, _hits(tier, ratio, width, glyphs)))
            rows.append((1, _size(tier, width, glyphs)))
            rows.append((4, _details(tier, width, glyphs)))
        if tier.state != "ok":
            rows.append((1, _trouble(tier, glyphs)))
    if not tiers:
        rows.append((0, (Span("No tier is on: every text is computed.", "warning"),)))
    rows.append((0, _saved(snapshot, width)))
    rows.append((2, _writes(snapshot, width)))
    if len(snapshot.cache.namespaces) > 1:
        rows.append((3, _namespaces(snapshot, width)))
    return rows


def _name(tier: TierStats, glyphs: Glyphs) -> Line:
    mark: Line = () if tier.state == "ok" else (Span(glyphs.warning, "warning"), Span(" "))
    return (*fit((*mark, Span(clean(tier.name), "strong")), _NAME - 1, glyphs.ellipsis), Span(" "))


def _hits(tier: TierStats, ratio: float | None, width: int, glyphs: Glyphs) -> Line:
    value = _ratio(ratio, glyphs)
    return *_name(tier, glyphs), *meter("hits ", ratio, value, "hits", width - _NAME, glyphs)


def _size(tier: TierStats, width: int, glyphs: Glyphs) -> Line:
    share = tier.size_bytes / tier.budget_bytes if tier.budget_bytes else None
    value = size(tier.size_bytes).rjust(8)
    if width >= _ROOMY and tier.budget_bytes:
        value += f" / {_budget(tier.budget_bytes)}"
    return Span(" " * _NAME), *meter("size ", share, value, "accent", width - _NAME, glyphs)


def _budget(budget_bytes: int) -> str:
    """A budget is round and does not change: no zeros behind the point."""
    value, _, unit = size(budget_bytes).partition(" ")
    return f"{float(value):g} {unit}"


def _terse(tier: TierStats, ratio: float | None, width: int, glyphs: Glyphs) -> Line:
    tail = f" {size(tier.size_bytes):>8}"
    line = meter("", ratio, _ratio(ratio, glyphs), "hits", width - _NAME - len(tail), glyphs)
    return *_name(tier, glyphs), *line, Span(tail, "muted")


def _ratio(ratio: float | None, glyphs: Glyphs) -> str:
    return (glyphs.none if ratio is None else percent(ratio)).rjust(5)


def _details(tier: TierStats, width: int, glyphs: Glyphs) -> Line:
    p99 = milliseconds(tier.lookup.p99_ms) if tier.lookup.count else glyphs.none
    troubles = tuple(
        (index, (Span(f"{count(records)} {name}", role),))
        for index, (records, name, role) in enumerate(_record_counts(tier), start=2)
        if records
    )
    fields: list[tuple[int, Line]] = [
        (0, (Span(f"{count(tier.entries)} entries".ljust(14), "muted"),)),
        (1, (Span(f"p99 {p99:<7}", "muted"),)),
        *troubles,
    ]
    return Span(" " * _NAME), *pack(fields, width - _NAME)


def _record_counts(tier: TierStats) -> tuple[tuple[int, str, Role], ...]:
    return (
        (tier.corrupt, "corrupt", "warning"),
        (tier.errors, "errors", "warning"),
        (tier.evictions, "evicted", "muted"),
        (tier.expired, "expired", "muted"),
    )


def _trouble(tier: TierStats, glyphs: Glyphs) -> Line:
    what = clean(tier.message) or "see `emberd logs`"
    return (Span(f"{glyphs.warning} {tier.state.replace('_', '-')}: {what}", "warning"),)


def _saved(snapshot: Snapshot, width: int) -> Line:
    texts, is_roomy = snapshot.texts, width >= _ROOMY
    left: Line = (
        Span("saved".ljust(_NAME), "muted"),
        Span(count(texts.hits), "strong"),
        Span(" embeddings" if is_roomy else " texts", "muted"),
    )
    right: Line = (
        Span(duration(texts.saved_s), "strong"),
        Span(" of compute" if width >= 44 else "", "muted"),
    )
    return justify(left, right, width)


def _writes(snapshot: Snapshot, width: int) -> Line:
    behind = snapshot.cache.write_behind
    role: Role = "warning" if behind.dropped else "text"
    fields: list[tuple[int, Line]] = [
        (0, figure(count(behind.queued), " queued", 12)),
        (1, figure(count(behind.written), " written", 14)),
        (0, (Span(count(behind.dropped), role), Span(" dropped", "muted"))),
    ]
    return Span("writes".ljust(_NAME), "muted"), *pack(fields, width - _NAME)


def _namespaces(snapshot: Snapshot, width: int) -> Line:
    fields: list[tuple[int, Line]] = [
        (index, (Span(clean(space.name)), Span(f" {size(space.size_bytes)}", "muted")))
        for index, space in enumerate(snapshot.cache.namespaces)
    ]
    return Span("tenants".ljust(_NAME), "muted"), *pack(fields, width - _NAME)
