"""The cache: its tiers, the hit ratio over time, the namespaces with their texts of most hits, and
where one text's vector is."""

from __future__ import annotations

from emberd.wire.snapshot import NamespaceStats, Snapshot
from emberd_tui.format import count, percent, size
from emberd_tui.frame import Frame
from emberd_tui.glyphs import Glyphs
from emberd_tui.layout import Place, Rect
from emberd_tui.parts import Column
from emberd_tui.screens.cache import CACHE
from emberd_tui.spans import Line, Span, clean
from emberd_tui.views.body import Body, listing
from emberd_tui.views.inspection import inspection_box
from emberd_tui.views.plots import hit_ratio
from emberd_tui.views.tiers import tier_lines, tiers_box
from emberd_tui.views.top_texts import top_texts_box

__all__ = ["cache_screen"]

_LEAST_BELOW = 7
_LEAST_NAMESPACES = 5
_MOST_NAMESPACES = 12
_LEAST_TEXTS = 3


def cache_screen(frame: Frame, snapshot: Snapshot, width: int, height: int) -> Body:
    """Tiers above; below them the plot (or the inspection) beside the namespaces and texts."""
    if frame.view.is_zoomed:
        lines, rows = _beside(frame, width, height)
        return Body(lines, {"rows": rows})
    wanted = len(tier_lines(frame, snapshot, width - 4)) + 2
    above = min(wanted, height - _LEAST_BELOW)
    below = height - above
    left = width // 2
    is_inspecting = bool(frame.view.inspected)
    beside = inspection_box(frame, left, below) if is_inspecting else hit_ratio(frame, left, below)
    spaces, rows = _beside(frame, width - left, below)
    places: dict[Place, Rect] = {"rows": rows._replace(x=left, y=above)}
    if not is_inspecting:
        places["ratio"] = Rect(0, above, left, below)
    lines = tiers_box(frame, snapshot, width, above)
    lines += [(*one, *other) for one, other in zip(beside, spaces, strict=True)]
    return Body(lines, places)


def _beside(frame: Frame, width: int, height: int) -> tuple[list[Line], Rect]:
    """The namespaces, below them the texts of the selected one; where the first of them are."""
    rows = CACHE.rows(frame)
    room = height - max(min(len(rows), _MOST_NAMESPACES) + 3, _LEAST_NAMESPACES)
    texts = room if room >= _LEAST_TEXTS else 0
    lines = _namespaces(frame, width, height - texts)
    if texts:
        namespace = rows[CACHE.index(frame, rows)].key if rows else ""
        lines += top_texts_box(frame, namespace, width, texts)
    return lines, Rect(0, 0, width, height - texts)


def _namespaces(frame: Frame, width: int, height: int) -> list[Line]:
    rows = CACHE.rows(frame)
    return listing(
        frame,
        _columns(CACHE.sorts[frame.view.sort], frame.glyphs),
        rows,
        CACHE.index(frame, rows) if rows else 0,
        width,
        height,
        title="Namespaces",
        empty="nothing fits" if frame.view.text else "nothing is stored yet",
    )


def _columns(sort: str, glyphs: Glyphs) -> list[Column[NamespaceStats]]:
    def order(name: str) -> tuple[str, bool]:
        return f"sort('{name}')", name == sort

    names, sizes, entries, hits = map(order, ("namespace", "size", "entries", "hits"))
    return [
        Column("namespace", 10, _name, 0, "left", True, *names),
        Column("entries", 8, lambda row: (Span(count(row.entries)),), 1, "right", False, *entries),
        Column("size", 8, lambda row: (Span(size(row.size_bytes)),), 0, "right", False, *sizes),
        Column("hits", 6, lambda row: (Span(count(row.hits)),), 2, "right", False, *hits),
        Column("hit", 5, lambda row: (_share(row, glyphs),), 3),
    ]


def _name(row: NamespaceStats) -> Line:
    return (Span(clean(row.name), "strong"),)


def _share(row: NamespaceStats, glyphs: Glyphs) -> Span:
    asked = row.hits + row.misses
    return Span(percent(row.hits / asked), "hits") if asked else Span(glyphs.none, "faint")
