"""The collections, the selected one in full, and the hits of a search over it."""

from __future__ import annotations

from collections.abc import Callable

from emberd.client import Hit
from emberd.wire.snapshot import CollectionStats, Snapshot
from emberd_tui.format import count, duration, milliseconds, percent, size
from emberd_tui.frame import Frame
from emberd_tui.glyphs import Glyphs
from emberd_tui.parts import Column, bar
from emberd_tui.screens.collections import (
    INDEX,
    collection_rows,
    is_searching,
    selected_collection,
    wanted_search,
)
from emberd_tui.spans import Line, Role, Span, clean, fit
from emberd_tui.views.body import Body, Detail, labelled, latency_cell, listing, sortable, stacked
from emberd_tui.views.hits import hit_detail, hits_box

__all__ = ["index_screen"]

_BAR = 8
_ROLES: dict[str, Role] = {"ready": "good", "degraded": "bad", "closed": "muted"}
# Past this share of deleted vectors the graph is worth a rebuild.
_MANY_DELETED = 0.25


def index_screen(frame: Frame, snapshot: Snapshot, width: int, height: int) -> Body:
    """The table over the details; over the hits while something is searched for."""
    rows = collection_rows(frame)
    chosen = selected_collection(frame)
    selected = next((i for i, row in enumerate(rows) if row.data is chosen), 0)

    def draw_list(tall: int) -> list[Line]:
        return listing(
            frame,
            _columns(INDEX.sorts[frame.view.sort], frame.glyphs),
            rows,
            selected,
            width,
            tall,
            title="Collections",
            empty="there is no collection; `emberd index FOLDER` makes one",
        )

    if chosen is not None and is_searching(frame):
        return _searching(frame, chosen, len(rows), draw_list, width, height)
    return stacked(frame, len(rows), draw_list, lambda room: _detail(chosen, frame), width, height)


def _searching(
    frame: Frame,
    chosen: CollectionStats,
    rows: int,
    draw_list: Callable[[int], list[Line]],
    width: int,
    height: int,
) -> Body:
    """The hits have the focus: alone where room is short, or one of them in full."""
    hits: list[Hit] = [row.data for row in INDEX.rows(frame)]
    picked = INDEX.index(frame, INDEX.rows(frame)) if hits else 0
    if frame.view.is_open and hits:
        return stacked(
            frame,
            len(hits),
            lambda tall: hits_box(frame, chosen.name, hits, picked, width, tall).lines,
            lambda room: hit_detail(hits[picked], room),
            width,
            height,
        )
    above = 0 if frame.view.is_zoomed or height < 18 else min(rows + 3, height // 3)
    found = hits_box(frame, chosen.name, hits, picked, width, height - above, wanted_search(frame))
    places = {place: rect._replace(y=rect.y + above) for place, rect in found.places.items()}
    return Body([*(draw_list(above) if above else ()), *found.lines], places)


def _columns(sort: str, glyphs: Glyphs) -> list[Column[CollectionStats]]:
    columns: list[Column[CollectionStats]] = [
        Column(
            "collection",
            12,
            lambda row: (Span(clean(row.name), "strong"),),
            align="left",
            is_elastic=True,
        ),
        Column("state", 19, lambda row: _state(row, glyphs), align="left"),
        Column("count", 7, lambda row: (Span(count(row.count)),)),
        Column("size", 8, lambda row: (Span(size(row.size_bytes)),), 2),
        Column("memory", 8, lambda row: (Span(size(row.memory_bytes), "muted"),), 4),
        Column("deleted", 7, lambda row: (_deleted(row, glyphs),), 5),
        Column("graph", 10, lambda row: (_graph(row, glyphs),), 6, align="left"),
        Column("saved", 7, lambda row: (_age(row, glyphs),), 7),
        Column("recall", 6, lambda row: (_recall(row, glyphs),), 3),
        Column("queries", 8, lambda row: (Span(count(row.queries)),), 2),
        Column("p50", 7, lambda row: (latency_cell(row.latency, row.latency.p50_ms, glyphs),), 6),
        Column("p99", 7, lambda row: (latency_cell(row.latency, row.latency.p99_ms, glyphs),), 1),
    ]
    return sortable(columns, INDEX.sorts, sort)


def _state(row: CollectionStats, glyphs: Glyphs) -> Line:
    """Rebuilding and loading have a bar of how far they are."""
    if row.state in ("rebuilding", "loading") and row.rebuild_ratio < 1:
        word: Span = Span("rebuild " if row.state == "rebuilding" else "load ", "warning")
        done = Span(f"{percent(row.rebuild_ratio).rjust(6)}", "warning")
        return fit(
            (word, *bar(row.rebuild_ratio, 19 - 6 - len(word.text), "accent", glyphs), done), 19
        )
    marks = {"ready": glyphs.good, "degraded": glyphs.bad, "closed": glyphs.dot}
    role = _ROLES.get(row.state, "warning")
    return (Span(f"{marks.get(row.state, glyphs.waiting)} {row.state}", role),)


def _share_deleted(row: CollectionStats) -> float:
    whole = row.count + row.deleted
    return row.deleted / whole if whole else 0.0


def _deleted(row: CollectionStats, glyphs: Glyphs) -> Span:
    share = _share_deleted(row)
    many = f"{glyphs.warning} " if share > _MANY_DELETED else ""
    return Span(f"{many}{percent(share)}", "warning" if many else "muted" if share else "faint")


def _graph(row: CollectionStats, glyphs: Glyphs) -> Span:
    marks: dict[str, tuple[str, Role]] = {"ok": (glyphs.good, "good"), "off": (glyphs.dot, "muted")}
    mark, role = marks.get(row.graph, (glyphs.waiting, "warning"))
    return Span(f"{mark} {'exact' if row.graph == 'off' else row.graph}", role)


def _age(row: CollectionStats, glyphs: Glyphs) -> Span:
    return Span(duration(row.checkpoint_age_s) if row.checkpoint_age_s else glyphs.none, "muted")


def _recall(row: CollectionStats, glyphs: Glyphs) -> Span:
    return Span(glyphs.none, "faint") if row.recall is None else Span(percent(row.recall))


def _detail(row: CollectionStats | None, frame: Frame) -> Detail:
    glyphs = frame.glyphs
    if row is None:
        return Detail("Collection", [(Span("Nothing is selected.", "faint"),)])
    memory = f"{size(row.size_bytes)} on disk, {size(row.memory_bytes)} in memory"
    lines: list[Line] = [
        labelled("state", _state(row, glyphs)),
        labelled("model", f"{row.model or glyphs.none}  {row.dim} dim"),
        labelled(
            "documents", f"{count(row.count)}, {count(row.damaged)} damaged, version {row.version}"
        ),
        labelled(
            "deleted",
            (
                _deleted(row, glyphs),
                Span(f"  {count(row.deleted)} vectors still lie there", "muted"),
            ),
        ),
        labelled("size", memory),
        labelled(
            "graph",
            (
                _graph(row, glyphs),
                Span(
                    f"  {count(row.indexed)} indexed, ef {row.ef}, {row.restarts} restarts", "muted"
                ),
            ),
        ),
        labelled(
            "saved", (_age(row, glyphs), Span(" ago" if row.checkpoint_age_s else "", "muted"))
        ),
        labelled(
            "recall", (_recall(row, glyphs), Span("  of the 10 nearest, as last probed", "muted"))
        ),
        labelled("queries", f"{count(row.queries)}, {count(row.cached)} from equal ones"),
        labelled("latency", _latency(row, glyphs)),
        labelled("written", f"{count(row.upserted)} upserted, {count(row.removed)} removed"),
    ]
    if row.message:
        lines.insert(1, (Span(f"{glyphs.bad} {clean(row.message)}", "bad"),))
    return Detail(
        row.name,
        lines,
        (
            Span(frame.keys.shown("search"), "key", "words"),
            Span(" search", "muted", "words"),
        ),
    )


def _latency(row: CollectionStats, glyphs: Glyphs) -> str:
    if not row.latency.count:
        return glyphs.none
    figures = (
        ("p50", row.latency.p50_ms),
        ("p90", row.latency.p90_ms),
        ("p99", row.latency.p99_ms),
    )
    return "  ".join(f"{name} {milliseconds(value)}" for name, value in figures)
