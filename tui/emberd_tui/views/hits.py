"""The hits of a search: score, where it is, the part that fits; one of them in full."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from emberd.client import Hit
from emberd_tui.asks import AskSearch
from emberd_tui.frame import Frame
from emberd_tui.layout import Rect
from emberd_tui.parts import bar, box
from emberd_tui.spans import Line, Span, clean, fit
from emberd_tui.views.body import Body, Detail, labelled, wrapped

__all__ = ["hit_detail", "hits_box"]

_SCORE_BAR = 6
_ROOMY = 100


def hits_box(
    frame: Frame,
    collection: str,
    hits: Sequence[Hit],
    picked: int,
    width: int,
    height: int,
    wanted: AskSearch | None = None,
) -> Body:
    """Two lines a hit where there is room, one where there is not; `rows` is where they are."""
    glyphs, inner = frame.glyphs, width - 4
    tall = 2 if height >= 10 and width < _ROOMY else 1
    visible = max((height - 2) // tall, 1)
    first = max(min(picked - visible // 2, len(hits) - visible), 0)
    body: list[Line] = []
    for index, hit in enumerate(hits[first : first + visible], start=first):
        is_picked = index == picked
        for number, line in enumerate(_lines(hit, inner, tall, frame)):
            mark = glyphs.selected if is_picked and number == 0 else " "
            whole: Line = (Span(mark), *fit(line, inner, glyphs.ellipsis))
            if is_picked:
                whole = tuple(span._replace(role="selected") for span in whole)
            body.append(tuple(span._replace(action=f"select({index})") for span in whole))
    if not hits:
        body.append((Span(f" {_nothing(frame, wanted)}", "faint"),))
    places = f"{first + 1}-{min(first + visible, len(hits))} of {len(hits)}" if hits else "0"
    title = f"Search in {clean(collection)}"
    lines = box((Span(title, "title"),), (Span(places, "strong"),), body, width, height, glyphs)
    return Body(lines, {"rows": Rect(0, 0, width, height if tall == 1 else height // 2)})


def _nothing(frame: Frame, wanted: AskSearch | None) -> str:
    if AskSearch.method in frame.answers.missing:
        return "this daemon cannot search"
    if wanted is None:
        return "type what to look for"
    is_there = frame.answers.hits_of == wanted
    return "nothing is found" if is_there else "searching"


def _lines(hit: Hit, width: int, tall: int, frame: Frame) -> list[Line]:
    part = clean(" ".join((hit.snippet or hit.text or "").split()))
    head: Line = (
        Span(f"{hit.score:.3f} ", "strong"),
        *bar(hit.score, _SCORE_BAR, "hits", frame.glyphs),
        Span(f"  {clean(place_of(hit))}", "accent"),
    )
    if tall == 2:
        return [head, (Span("      "), Span(part))]
    where = min(max(width // 3, 20), 48)
    return [(*fit(head, where, frame.glyphs.ellipsis), Span("  "), Span(part))]


def place_of(hit: Hit) -> str:
    """`path:line` of a chunk of a file, else the document's id."""
    metadata = hit.metadata or {}
    path, line = metadata.get("path"), metadata.get("line")
    if not isinstance(path, str):
        return hit.id
    return f"{path}:{line}" if isinstance(line, int) else path


def hit_detail(hit: Hit, width: int) -> Detail:
    """Its metadata and the whole text."""
    lines: list[Line] = [labelled("id", hit.id), labelled("score", f"{hit.score:.4f}")]
    lines += [
        labelled(clean(name)[:9], _plain(value)) for name, value in (hit.metadata or {}).items()
    ]
    return Detail(place_of(hit), [*lines, (), *wrapped(hit.text or hit.snippet or "", width)])


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
