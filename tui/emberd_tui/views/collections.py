"""The collections as rows of a table, and the overview's panel of them."""

from __future__ import annotations

from emberd.wire.snapshot import CollectionStats, Snapshot
from emberd_tui.format import count, duration, percent, size
from emberd_tui.frame import Frame
from emberd_tui.glyphs import Glyphs
from emberd_tui.parts import Column, bar, box, table
from emberd_tui.spans import Line, Role, Span, clean, fit
from emberd_tui.views.body import latency_cell

__all__ = [
    "age_cell",
    "collection_columns",
    "collection_lines",
    "collections",
    "deleted_cell",
    "graph_cell",
    "recall_cell",
    "state_cell",
]

_ROLES: dict[str, Role] = {"ready": "good", "degraded": "bad", "closed": "muted"}
# Past this share of deleted vectors the graph is worth a rebuild.
_MANY_DELETED = 0.25


def collection_lines(snapshot: Snapshot) -> int:
    """How many lines the panel would like; 0 where there is no collection."""
    rows = snapshot.index.collections
    return len(rows) + sum(bool(row.message) for row in rows)


def collections(frame: Frame, snapshot: Snapshot, width: int, height: int) -> list[Line]:
    """One row a collection: what is wrong or under way first, then what is asked most."""
    glyphs = frame.glyphs
    found = sorted(snapshot.index.collections, key=lambda row: (_is_calm(row), -row.queries))
    heading, *rows = table(collection_columns(glyphs), found, width - 4, glyphs)
    lines = [heading]
    for row, cells in zip(found, rows, strict=True):
        lines.append(cells)
        if row.message:
            lines.append((Span(f"  {clean(row.message)}", "bad"),))
    body = [(Span(" "), *line) for line in lines]
    documents = sum(row.count for row in found)
    legend = (Span(count(documents), "strong"), Span(" documents", "muted"))
    return box((Span("Index", "title"),), legend, body, width, height, glyphs)


def _is_calm(row: CollectionStats) -> bool:
    return row.state in ("ready", "closed")


def collection_columns(glyphs: Glyphs) -> list[Column[CollectionStats]]:
    """The columns of a table of collections; narrow tables leave out those of the highest rank."""
    return [
        Column(
            "collection",
            12,
            lambda row: (Span(clean(row.name), "strong"),),
            align="left",
            is_elastic=True,
        ),
        Column("state", 19, lambda row: state_cell(row, glyphs), align="left"),
        Column("count", 7, lambda row: (Span(count(row.count)),)),
        Column("size", 8, lambda row: (Span(size(row.size_bytes)),), 2),
        Column("memory", 8, lambda row: (Span(size(row.memory_bytes), "muted"),), 4),
        Column("deleted", 7, lambda row: (deleted_cell(row, glyphs),), 5),
        Column("graph", 10, lambda row: (graph_cell(row, glyphs),), 6, align="left"),
        Column("saved", 7, lambda row: (age_cell(row, glyphs),), 7),
        Column("recall", 6, lambda row: (recall_cell(row, glyphs),), 3),
        Column("queries", 8, lambda row: (Span(count(row.queries)),), 2),
        Column("p50", 7, lambda row: (latency_cell(row.latency, row.latency.p50_ms, glyphs),), 6),
        Column("p99", 7, lambda row: (latency_cell(row.latency, row.latency.p99_ms, glyphs),), 1),
    ]


def state_cell(row: CollectionStats, glyphs: Glyphs) -> Line:
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


def deleted_cell(row: CollectionStats, glyphs: Glyphs) -> Span:
    """The share of deleted vectors, marked where a rebuild is worth it."""
    share = _share_deleted(row)
    many = f"{glyphs.warning} " if share > _MANY_DELETED else ""
    return Span(f"{many}{percent(share)}", "warning" if many else "muted" if share else "faint")


def graph_cell(row: CollectionStats, glyphs: Glyphs) -> Span:
    """How the graph is; without one every search is exact."""
    marks: dict[str, tuple[str, Role]] = {"ok": (glyphs.good, "good"), "off": (glyphs.dot, "muted")}
    mark, role = marks.get(row.graph, (glyphs.waiting, "warning"))
    return Span(f"{mark} {'exact' if row.graph == 'off' else row.graph}", role)


def age_cell(row: CollectionStats, glyphs: Glyphs) -> Span:
    """The time since the graph was saved."""
    return Span(duration(row.checkpoint_age_s) if row.checkpoint_age_s else glyphs.none, "muted")


def recall_cell(row: CollectionStats, glyphs: Glyphs) -> Span:
    """What the last probe found."""
    return Span(glyphs.none, "faint") if row.recall is None else Span(percent(row.recall))
