"""Where the vector of one text is: by tier, with its age, its size and its length."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from emberd.wire.insight import CacheInspection, TierFinding
from emberd_tui.asks import AskInspection
from emberd_tui.format import count, duration, size
from emberd_tui.frame import Frame
from emberd_tui.glyphs import Glyphs
from emberd_tui.parts import Column, box, table
from emberd_tui.spans import Line, Role, Span, clean
from emberd_tui.views.body import labelled, missing_box, wrapped

__all__ = ["inspection_box"]


def inspection_box(frame: Frame, width: int, height: int) -> list[Line]:
    """The answer, or that it is still awaited."""
    if AskInspection.method in frame.answers.missing:
        return missing_box(frame, "Inspector", "where a vector is", width, height)
    glyphs, found = frame.glyphs, frame.answers.inspection
    body: list[Line] = [(Span(clean(frame.view.inspected), "strong"),)]
    if found is None:
        body.append((Span("...", "faint"),))
    else:
        body += _lines(found, width - 4, glyphs)
    legend: Line = (Span("Esc", "key", "close"),)
    rows = [(Span(" "), *line) for line in body]
    return box((Span("Inspector", "title"),), legend, rows, width, height, glyphs)


def _lines(found: CacheInspection, width: int, glyphs: Glyphs) -> list[Line]:
    mark = (
        Span(f"{glyphs.good} cached", "good")
        if found.cached
        else Span(f"{glyphs.dot} not cached", "muted")
    )
    hits = "" if found.hits is None else f"  {count(found.hits)} hits"
    lines: list[Line] = [(mark, Span(f"  {count(found.tokens)} tokens{hits}", "muted"))]
    lines += table(_columns(glyphs), found.tiers, width, glyphs)
    for tier in found.tiers:
        if tier.message:
            lines.append(
                (Span(f"{glyphs.warning} {clean(tier.tier)}: {clean(tier.message)}", "warning"),)
            )
    lines.append(labelled("model", found.model))
    lines += wrapped(f"key {found.key}", width)
    return lines


def _columns(glyphs: Glyphs) -> list[Column[TierFinding]]:
    def figure(shown: Callable[[TierFinding], str]) -> Callable[[TierFinding], Line]:
        nothing = Span(glyphs.none, "faint")
        return lambda row: (Span(shown(row)) if row.found else nothing,)

    return [
        Column("tier", 7, lambda row: (_tier(row, glyphs),), align="left", is_elastic=True),
        Column("age", 7, figure(lambda row: _age(row, glyphs)), 1),
        Column("size", 8, figure(lambda row: size(row.size_bytes))),
        Column("norm", 6, figure(lambda row: f"{row.norm:.4f}")),
    ]


def _tier(row: TierFinding, glyphs: Glyphs) -> Span:
    mark, role = (glyphs.good, "good") if row.found else (glyphs.dot, "muted")
    return Span(f"{mark} {clean(row.tier)}", cast(Role, role))


def _age(row: TierFinding, glyphs: Glyphs) -> str:
    return glyphs.none if row.age_s is None else duration(row.age_s)
