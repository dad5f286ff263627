"""The models that are loaded, loading or failed."""

from __future__ import annotations

from emberd.wire.snapshot import ModelStats, Snapshot
from emberd_tui.format import count, duration
from emberd_tui.frame import Frame
from emberd_tui.glyphs import Glyphs
from emberd_tui.parts import Column, box, table
from emberd_tui.spans import Line, Role, Span, clean

__all__ = ["models"]

_DEVICE = "on"
_ROLES: dict[str, Role] = {
    "loaded": "good",
    "loading": "warning",
    "unloaded": "muted",
    "failed": "bad",
}


def models(frame: Frame, snapshot: Snapshot, width: int, height: int) -> list[Line]:
    """One row a model, the default first."""
    glyphs = frame.glyphs
    found = sorted(snapshot.models, key=lambda model: (not model.is_default, model.name))
    columns = _columns(glyphs)
    if len({model.device for model in found if model.state == "loaded"}) < 2:
        columns = [column for column in columns if column.title != _DEVICE]
    heading, *rows = table(columns, found, width - 4, glyphs)
    lines = [heading]
    for model, row in zip(found, rows, strict=True):
        lines.append(row)
        if model.message:
            lines.append((Span(f"  {clean(model.message)}", "bad"),))
    if not found:
        lines.append((Span("none is loaded yet", "faint"),))
    body = [(Span(" "), *line) for line in lines]
    legend = (Span(count(len(found)), "strong"),)
    return box((Span("Models", "title"),), legend, body, width, height, glyphs)


def _columns(glyphs: Glyphs) -> list[Column[ModelStats]]:
    return [
        Column("model", 18, lambda row: _name(row, glyphs), align="left", is_elastic=True),
        Column("state", 10, lambda row: _state(row, glyphs), align="left"),
        Column(_DEVICE, 14, lambda row: (Span(clean(row.device)),), 2, "left"),
        Column("unloads", 7, lambda row: (Span(_unloads(row), "muted"),), rank=1),
        Column("dim", 4, lambda row: (Span(str(row.dim)),), rank=4),
        Column("window", 6, lambda row: (Span(str(row.max_tokens), "muted"),), rank=5),
        Column("precision", 9, lambda row: (Span(clean(row.precision), "muted"),), rank=3),
        Column("texts", 6, lambda row: (Span(count(row.texts)),), rank=1),
    ]


def _name(model: ModelStats, glyphs: Glyphs) -> Line:
    name: Line = (Span(clean(model.name), "strong"),)
    return (*name, Span(f" {glyphs.mark}", "accent")) if model.is_default else name


def _state(model: ModelStats, glyphs: Glyphs) -> Line:
    marks = {
        "loaded": glyphs.good,
        "loading": glyphs.waiting,
        "unloaded": glyphs.none,
        "failed": glyphs.bad,
    }
    return (Span(f"{marks[model.state]} {model.state}", _ROLES[model.state]),)


def _unloads(model: ModelStats) -> str:
    """The time that `models.keep_alive` leaves an idle model."""
    if model.unloads_in_s is not None:
        return duration(model.unloads_in_s)
    return "in use" if model.idle_s == 0 else ""
