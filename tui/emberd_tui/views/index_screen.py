"""The collections, the selected one in full, and the hits of a search over it."""

from __future__ import annotations

from collections.abc import Callable

from emberd.client import Hit
from emberd.wire.snapshot import CollectionStats, Snapshot
from emberd_tui.format import count, milliseconds, size
from emberd_tui.frame import Frame
from emberd_tui.glyphs import Glyphs
from emberd_tui.screens.collections import (
    INDEX,
    collection_rows,
    is_searching,
    selected_collection,
    wanted_search,
)
from emberd_tui.spans import Line, Span, clean
from emberd_tui.views.body import Body, Detail, labelled, listing, sortable, stacked
from emberd_tui.views.collections import (
    age_cell,
    collection_columns,
    deleted_cell,
    graph_cell,
    recall_cell,
    state_cell,
)
from emberd_tui.views.hits import hit_detail, hits_box

__all__ = ["index_screen"]


def index_screen(frame: Frame, snapshot: Snapshot, width: int, height: int) -> Body:
    """The table over the details; over the hits while something is searched for."""
    rows = collection_rows(frame)
    chosen = selected_collection(frame)
    selected = next((i for i, row in enumerate(rows) if row.data is chosen), 0)

    def draw_list(tall: int) -> list[Line]:
        return listing(
            frame,
            sortable(collection_columns(frame.glyphs), INDEX.sorts, INDEX.sorts[frame.view.sort]),
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


def _detail(row: CollectionStats | None, frame: Frame) -> Detail:
    glyphs = frame.glyphs
    if row is None:
        return Detail("Collection", [(Span("Nothing is selected.", "faint"),)])
    memory = f"{size(row.size_bytes)} on disk, {size(row.memory_bytes)} in memory"
    lines: list[Line] = [
        labelled("state", state_cell(row, glyphs)),
        labelled("model", f"{row.model or glyphs.none}  {row.dim} dim"),
        labelled(
            "documents", f"{count(row.count)}, {count(row.damaged)} damaged, version {row.version}"
        ),
        labelled(
            "deleted",
            (
                deleted_cell(row, glyphs),
                Span(f"  {count(row.deleted)} vectors still lie there", "muted"),
            ),
        ),
        labelled("size", memory),
        labelled(
            "graph",
            (
                graph_cell(row, glyphs),
                Span(
                    f"  {count(row.indexed)} indexed, ef {row.ef}, {row.restarts} restarts", "muted"
                ),
            ),
        ),
        labelled(
            "saved", (age_cell(row, glyphs), Span(" ago" if row.checkpoint_age_s else "", "muted"))
        ),
        labelled(
            "recall",
            (recall_cell(row, glyphs), Span("  of the 10 nearest, as last probed", "muted")),
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
