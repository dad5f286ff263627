"""The engine panel: the device, how full it is, and the process around it."""

from __future__ import annotations

from emberd.wire.snapshot import EngineStats, Snapshot
from emberd_tui.format import count, milliseconds, percent, rate, size
from emberd_tui.frame import Frame
from emberd_tui.glyphs import Glyphs
from emberd_tui.parts import box, figure, keep, meter
from emberd_tui.spans import Line, Role, Span, clean, fit, line_width, pack
from emberd_tui.views.device import gpu_rows, reason_rows

__all__ = ["engine"]

_LABEL = 8
_ROOMY = 34
# A queue this full is about to refuse work; a loop this late delays every client.
_FULL, _LATE_MS = 0.8, 50.0


def engine(frame: Frame, snapshot: Snapshot, width: int, height: int) -> list[Line]:
    """What the device is, what it is doing, and where the time has gone."""
    inner, room = width - 4, height - 2
    rows = keep(_rows(snapshot, inner, room, frame.glyphs), room)
    body = [(Span(" "), *fit(line, inner, frame.glyphs.ellipsis)) for line in rows]
    legend = _device(snapshot.engine, width - 15, frame.glyphs.ellipsis)
    return box((Span("Engine", "title"),), legend, body, width, height, frame.glyphs)


def _device(stats: EngineStats, width: int, ellipsis: str) -> Line:
    """The provider first: a GPU that is silently not used is the commonest complaint."""
    provider = clean(stats.provider).removesuffix("ExecutionProvider")
    device: Line = (Span(clean(stats.device), "strong"),)
    if provider and not stats.device.casefold().startswith(provider.casefold()):
        device = (Span(provider, "strong"), Span(" on ", "muted"), *device)
    return fit(device, min(line_width(device), width), ellipsis)


def _rows(snapshot: Snapshot, width: int, room: int, glyphs: Glyphs) -> list[tuple[int, Line]]:
    stats = snapshot.engine
    gpu = gpu_rows(stats.gpu, width, glyphs)
    rows = [
        *reason_rows(stats, width, room, glyphs),
        *gpu,
        # A GPU's own figures say more than how many threads feed it.
        (2 if gpu else 0, _callers(stats, width, glyphs)),
        (0, _queue(stats, width, glyphs)),
        (1, _fill(stats, width, glyphs)),
        (0, _tokens(stats, width)),
        (4, _batches(stats, width, glyphs)),
        (3, _stages(stats, width, glyphs)),
        (5, _waiting(stats, width)),
        (0, _process(snapshot, width)),
    ]
    if stats.restarts:
        text = f"{glyphs.warning} {stats.restarts} restarts of a worker: see `emberd logs`"
        rows.append((2, (Span(text, "warning"),)))
    return rows


def _meter(
    label: str, share: float, wide: str, narrow: str, role: Role, width: int, glyphs: Glyphs
) -> Line:
    """Bars of one panel end in one column: `wide` and `narrow` have their own widths."""
    value = wide.rjust(15) if width >= _ROOMY else narrow.rjust(10)
    return meter(label.ljust(_LABEL), share, value, role, width, glyphs)


def _callers(stats: EngineStats, width: int, glyphs: Glyphs) -> Line:
    busy = f"{stats.callers_busy}/{stats.callers}"
    share = f"{percent(stats.busy_ratio):>5}"
    return _meter(
        "callers",
        stats.busy_ratio,
        f"{busy} busy {share}",
        f"{busy} {share}",
        "computed",
        width,
        glyphs,
    )


def _queue(stats: EngineStats, width: int, glyphs: Glyphs) -> Line:
    share = stats.queue_texts / stats.queue_limit if stats.queue_limit else 0.0
    waiting = count(stats.queue_texts)
    role: Role = "bad" if share > _FULL else "accent"
    return _meter("queue", share, f"{waiting} texts", waiting, role, width, glyphs)


def _fill(stats: EngineStats, width: int, glyphs: Glyphs) -> Line:
    share = stats.batches.fill_ratio
    filled = f"{percent(share):>5}"
    return _meter("batches", share, f"filled {filled}", filled, "accent", width, glyphs)


def _tokens(stats: EngineStats, width: int) -> Line:
    batches = stats.batches
    padding = percent(batches.padding_ratio)
    fields: list[tuple[int, Line]] = [
        (0, figure(count(batches.tokens_per_s), "/s", 8, "strong")),
        (0, figure(padding, " padding" if width >= _ROOMY else " pad", 9)),
    ]
    return _labelled("tokens", fields, width)


def _batches(stats: EngineStats, width: int, glyphs: Glyphs) -> Line:
    latency = stats.batches.latency
    p50, p99 = (
        milliseconds(value) if latency.count else glyphs.none
        for value in (latency.p50_ms, latency.p99_ms)
    )
    fields: list[tuple[int, Line]] = [
        (0, figure(rate(stats.batches.per_s), "/s", 8)),
        (1, (Span("p50 ", "muted"), *figure(p50, "", 7))),
        (0, (Span("p99 ", "muted"), *figure(p99, "", 7))),
    ]
    return _labelled("runs", fields, width)


def _stages(stats: EngineStats, width: int, glyphs: Glyphs) -> Line:
    """What a computed text takes in each stage; where none was computed lately, what it took on
    average since the start."""
    texts = stats.batches.texts
    took = stats.stage_ms or {name: s / texts * 1e3 for name, s in stats.stages.items() if texts}
    if not took:
        return _labelled("a text", [(0, (Span(glyphs.none),))], width)
    fields: list[tuple[int, Line]] = [
        (
            index,
            (
                Span(f"{clean(name)} ", "muted"),
                *figure(milliseconds(took[name]), "", 7),
            ),
        )
        for index, name in enumerate(("compute", "queue", "tokenise"))
        if name in took
    ]
    return _labelled("a text", fields, width)


def _waiting(stats: EngineStats, width: int) -> Line:
    fields: list[tuple[int, Line]] = [
        (0, figure(count(stats.queue_tokens), " tokens", 13)),
        (1, (Span("oldest ", "muted"), *figure(milliseconds(stats.oldest_ms), "", 7))),
        (2, (Span("budget ", "muted"), Span(count(stats.batch_tokens)))),
    ]
    return _labelled("waiting", fields, width)


def _process(snapshot: Snapshot, width: int) -> Line:
    daemon = snapshot.daemon
    lag: Role = "warning" if daemon.loop_lag_ms > _LATE_MS else "text"
    fields: list[tuple[int, Line]] = [
        (0, figure(percent(daemon.cpu_ratio), "", 5)),
        (1, (Span("rss ", "muted"), *figure(size(daemon.rss_bytes), "", 8))),
        (2, (Span("lag ", "muted"), *figure(milliseconds(daemon.loop_lag_ms), "", 7, lag))),
    ]
    return _labelled("cpu", fields, width)


def _labelled(label: str, fields: list[tuple[int, Line]], width: int) -> Line:
    gap = "  " if width >= _ROOMY else " "
    return Span(label.ljust(_LABEL), "muted"), *pack(fields, width - _LABEL, gap)
