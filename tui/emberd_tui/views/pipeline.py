"""One line: what becomes of the texts that come in, stage by stage."""

from __future__ import annotations

from emberd.wire.snapshot import Snapshot
from emberd_tui.format import count, milliseconds, percent, rate
from emberd_tui.frame import Frame
from emberd_tui.parts import figure
from emberd_tui.spans import Line, Role, Span, clean, fit, pack

__all__ = ["pipeline"]


def pipeline(frame: Frame, snapshot: Snapshot, width: int, _: int) -> list[Line]:
    """Texts a second of each stage, then what a computed one takes; figures stand still."""
    texts, engine, glyphs = snapshot.texts, snapshot.engine, frame.glyphs
    batches = engine.batches
    next_stage = Span(f"{glyphs.next} ", "muted")
    fields: list[tuple[int, Line]] = [
        (2, (Span("texts/s", "muted"),)),
        (0, _stage((), "in", rate(texts.received_per_s or texts.per_s), "strong")),
        (0, _stage((next_stage,), "dedup", rate(texts.deduplicated_per_s), "text")),
        (0, _stage((next_stage,), "cached", rate(texts.hits_per_s), "hits")),
        (0, _stage((next_stage,), "queue", count(engine.queue_texts), "text")),
        (0, _stage((next_stage,), "computed", rate(texts.computed_per_s), "computed")),
        (3, figure(count(batches.tokens_per_s), " tokens/s", 15)),
        (4, (Span("full ", "muted"), *figure(percent(batches.fill_ratio), "", 5))),
        (5, (Span("padding ", "muted"), *figure(percent(batches.padding_ratio), "", 5))),
    ]
    if texts.failed_per_s:
        fields.append((1, figure(rate(texts.failed_per_s), " failed/s", 8, "bad")))
    fields += [
        (6 + index, (Span(f"{clean(name)} ", "muted"), *figure(milliseconds(took), "", 7)))
        for index, (name, took) in enumerate(engine.stage_ms.items())
    ]
    return [fit((Span(" "), *pack(fields, width - 2)), width, glyphs.ellipsis)]


def _stage(mark: Line, name: str, shown: str, role: Role) -> Line:
    return (*mark, Span(f"{name} ", "muted"), *figure(shown, "", 6, role))
