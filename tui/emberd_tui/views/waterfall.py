"""The stages of a request as bars, each where it lies in the whole; pure functions of a request."""

from __future__ import annotations

from typing import NamedTuple

from emberd.wire.insight import RequestRow
from emberd_tui.format import milliseconds, percent
from emberd_tui.glyphs import Glyphs
from emberd_tui.spans import Line, Role, Span, clean, fit

__all__ = ["Step", "steps", "waterfall"]

_LABEL = 12
_FIGURES = 15


class Step(NamedTuple):
    """One stage: from `start_s` for `seconds`, counted from the request's arrival."""

    name: str
    start_s: float
    seconds: float
    role: Role


def steps(request: RequestRow) -> list[Step]:
    """The stages in their order, one after another; those that it did not go through are left
    out, and what no stage accounts for is the last."""
    stages = request.stages
    named: list[tuple[str, float, Role]] = [
        ("load", stages.load, "warning"),
        ("memory", stages.memory, "hits"),
        *((tier, seconds, "hits") for tier, seconds in stages.tiers.items()),
        ("admission", stages.admission, "accent"),
        ("tokenise", stages.tokenise, "p50"),
        ("queue", stages.queue, "warning"),
        ("compute", stages.compute, "computed"),
        ("reply", stages.reply, "p99"),
    ]
    found: list[Step] = []
    at = 0.0
    for name, seconds, role in named:
        if seconds > 0:
            found.append(Step(name, at, seconds, role))
            at += seconds
    if request.seconds - at > max(0.01 * request.seconds, 1e-6):
        found.append(Step("elsewhere", at, request.seconds - at, "muted"))
    return found


def waterfall(request: RequestRow, width: int, glyphs: Glyphs) -> list[Line]:
    """One line a stage: name, bar, time and share."""
    found = steps(request)
    whole = max(request.seconds, sum(step.seconds for step in found)) or 1.0
    room = max(width - _LABEL - _FIGURES - 1, 4)
    lines: list[Line] = []
    for step in found:
        before = min(round(step.start_s / whole * room), room - 1)
        end = round((step.start_s + step.seconds) / whole * room)
        length = min(max(end - before, 1), room - before)
        figures = f"{milliseconds(step.seconds * 1e3):>8} {percent(step.seconds / whole):>6}"
        lines.append(
            (
                *fit((Span(clean(step.name), "muted"),), _LABEL, glyphs.ellipsis),
                Span(glyphs.track * before, "track"),
                Span(glyphs.bar * length, step.role),
                Span(glyphs.track * (room - before - length), "track"),
                Span(f" {figures}"),
            )
        )
    return lines
