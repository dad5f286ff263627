"""The texts that the cache answers most often, of the selected namespace."""

from __future__ import annotations

from emberd.wire.insight import TopText, TopTexts
from emberd_tui.asks import AskTopTexts
from emberd_tui.format import count, percent
from emberd_tui.frame import Frame
from emberd_tui.parts import Column, box, table
from emberd_tui.spans import Line, Span, clean

__all__ = ["top_texts_box"]

_OFF = "off: `top_texts = 20` under [cache]"


def top_texts_box(frame: Frame, namespace: str, width: int, height: int) -> list[Line]:
    """A row a text, most hits first; one line where no texts are kept."""
    found = frame.answers.top_texts
    body: list[Line]
    if AskTopTexts.method in frame.answers.missing:
        body = [(Span("older daemon: `emberd restart`", "warning"),)]
    elif found is None or (namespace and found.namespace != namespace):
        body = [(Span("...", "faint"),)]
    elif not found.kept:
        body = [(Span(_OFF, "faint"),)]
    else:
        body = table(_columns(found), found.texts, width - 4, frame.glyphs)
        if not found.texts:
            body.append((Span("no hits yet", "faint"),))
    rows = [(Span(" "), *line) for line in body]
    legend: Line = (Span(clean(namespace), "strong"),) if namespace else ()
    return box((Span("Top texts", "title"),), legend, rows, width, height, frame.glyphs)


def _columns(found: TopTexts) -> list[Column[TopText]]:
    whole = max(found.hits, 1)
    return [
        Column("text", 20, lambda row: (Span(clean(row.text)),), 0, "left", True),
        Column("chars", 6, lambda row: (Span(count(row.characters), "muted"),), 3),
        Column("share", 5, lambda row: (Span(percent(row.hits / whole), "muted"),), 2),
        Column("hits", 7, lambda row: (_hits(row),)),
    ]


def _hits(row: TopText) -> Span:
    """With a mark where the count may be over: the text took another one's place."""
    return Span(f"{'~' if row.over else ''}{count(row.hits)}", "hits")
