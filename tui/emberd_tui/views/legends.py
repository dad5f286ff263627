"""The legends of the plots: as rich as the panel is wide, and read off at the cursor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from emberd_tui.format import brief, count, duration, milliseconds, percent
from emberd_tui.frame import Frame
from emberd_tui.history import Sample
from emberd_tui.parts import first_fit, title_room
from emberd_tui.spans import Line, Role, Span

__all__ = ["latency_legend", "ratio_legend", "throughput_legend"]

# The widest answers of count, brief, milliseconds and percent.
_RATE, _BRIEF, _MS, _PERCENT = 6, 4, 7, 5


@dataclass(frozen=True, slots=True)
class _Series:
    """One line of a legend; any part may be left out."""

    mark: str
    name: str
    figure: str
    role: Role

    def entry(self, *, mark: bool = True, name: bool = True, figure: bool = True) -> Line:
        parts: tuple[tuple[bool, str, Role], ...] = (
            (mark, self.mark, self.role),
            (name, self.name, "muted"),
            (figure, self.figure, self.role),
        )
        return _joined([(Span(text, role),) for is_shown, text, role in parts if is_shown], " ")


def throughput_legend(frame: Frame, title: Line, width: int) -> Line:
    """The figures as richly as fits: with a total, with names, with their marks alone."""
    ago, sample = _read_off(frame)
    hits, computed = (sample.hits_per_s, sample.computed_per_s) if sample else (None, None)
    total = None if hits is None or computed is None else hits + computed
    in_all = (Span(_figure(frame, total, count, _RATE), "strong"), Span(" total", "muted"))
    roomy, tight = (
        (
            _Series(frame.glyphs.hits, "hits", _figure(frame, hits, shown, cells), "hits"),
            _Series(
                frame.glyphs.computed,
                "computed",
                _figure(frame, computed, shown, cells),
                "computed",
            ),
        )
        for shown, cells in ((count, _RATE), (brief, _BRIEF))
    )
    named = [series.entry() for series in roomy]
    bare = [series.entry(name=False) for series in roomy]
    least = [series.entry(name=False) for series in tight]
    variants = [
        _joined([ago, in_all, *named]),
        _joined([ago, *named]),
        _joined([ago, *bare]),
        _joined([ago, *least], " "),
    ]
    return first_fit(variants, title_room(width, title))


def latency_legend(frame: Frame, title: Line, width: int) -> Line:
    """As above; at last without figures (the status line has them), at the cursor without marks."""
    ago, sample = _read_off(frame)
    p50, p90, p99 = (
        _figure(frame, value, milliseconds, _MS)
        for value in ((sample.p50_ms, sample.p90_ms, sample.p99_ms) if sample else (None,) * 3)
    )
    both = (
        _Series(frame.glyphs.p50, "p50", p50, "p50"),
        _Series(frame.glyphs.p99, "p99", p99, "p99"),
    )
    low, high = (series.entry() for series in both)
    between: Line = (Span("p90 ", "muted"), Span(p90))
    figures = [series.entry(mark=False, name=False) for series in both]
    variants = [
        _joined([ago, low, between, high]),
        _joined([ago, low, high]),
        _joined([ago, *(series.entry(name=False) for series in both)]),
    ]
    if ago:
        variants += [_joined([ago, *figures]), _joined([ago[:1], *figures], " ")]
    else:
        variants.append(_joined([series.entry(figure=False) for series in both]))
    return first_fit(variants, title_room(width, title))


def ratio_legend(frame: Frame, title: Line, width: int) -> Line:
    """The share of hits, in percent."""
    ago, sample = _read_off(frame)
    total = sample.hits_per_s + sample.computed_per_s if sample else 0.0
    ratio = sample.hits_per_s / total if sample and total else None
    shown: Line = (Span(_figure(frame, ratio, percent, _PERCENT), "hits"),)
    return first_fit([_joined([ago, shown]), shown], title_room(width, title))


def _joined(entries: list[Line], gap: str = "  ") -> Line:
    found = [entry for entry in entries if entry]
    return tuple(span for entry in found for span in (Span(gap), *entry))[1:]


def _read_off(frame: Frame) -> tuple[Line, Sample | None]:
    """The sample under the cursor and how old it is, else the newest one."""
    if frame.cursor_s is None:
        return (), frame.history.sample_at(frame.now)
    ago = (Span(duration(frame.cursor_s), "cursor"), Span(" ago", "cursor"))
    return ago, frame.history.sample_at(frame.now - frame.cursor_s)


def _figure(frame: Frame, value: float | None, shown: Callable[[float], str], cells: int) -> str:
    return (frame.glyphs.none if value is None else shown(value)).rjust(cells)
