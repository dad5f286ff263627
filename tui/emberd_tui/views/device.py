"""The device: why not a better one, and what a GPU says of itself."""

from __future__ import annotations

from emberd.wire.snapshot import EngineStats, GpuStats
from emberd_tui.format import percent, size
from emberd_tui.glyphs import Glyphs
from emberd_tui.parts import figure, meter
from emberd_tui.spans import Line, Role, Span, clean, pack
from emberd_tui.views.body import wrapped

__all__ = ["gpu_rows", "reason_rows"]

_LABEL = 8
_ROOMY = 34
_OTHERS = 5  # rows that always stay
_HOT_C = 87.0
_FULL = 0.95


def reason_rows(
    stats: EngineStats, width: int, room: int, glyphs: Glyphs
) -> list[tuple[int, Line]]:
    """Why a better provider is not in use: in full where there is room, else in a few words."""
    reason, note = clean(stats.provider_reason), clean(stats.provider_note)
    if not note:
        line: Line = (Span("why CPU".ljust(_LABEL) + reason, "muted"),)
        return [(3, line)] if reason else []
    most = max(room - _OTHERS, 1)
    lines = wrapped(f"{glyphs.warning} {note}", width)
    if reason and len(lines) > most:
        lines = wrapped(f"{glyphs.warning} CPU: {reason}", width)
    texts = [line[0].text for line in lines]
    texts = [*texts[: most - 1], " ".join(texts[most - 1 :])]
    return [(0, (Span(text, "warning"),)) for text in texts if text]


def gpu_rows(gpu: GpuStats | None, width: int, glyphs: Glyphs) -> list[tuple[int, Line]]:
    """Its use and memory as bars, then its heat and power; a dash where it does not say."""
    if gpu is None:
        return []
    if gpu.message and gpu.busy_ratio is None and gpu.memory_total_bytes is None:
        return [(1, (Span("gpu".ljust(_LABEL), "muted"), Span(clean(gpu.message), "muted")))]
    busy = glyphs.none if gpu.busy_ratio is None else percent(gpu.busy_ratio)
    used, total = gpu.memory_used_bytes, gpu.memory_total_bytes
    share = used / total if used is not None and total else None
    held = glyphs.none if used is None else size(used)
    if width >= _ROOMY and total:
        held += f" / {_round(total)}"
    role: Role = "warning" if share is not None and share > _FULL else "accent"
    return [
        (0, _meter("gpu", gpu.busy_ratio, busy, "computed", width, glyphs)),
        (0, _meter("memory", share, held, role, width, glyphs)),
        (1, _heat(gpu, width, glyphs)),
    ]


def _meter(
    label: str, share: float | None, value: str, role: Role, width: int, glyphs: Glyphs
) -> Line:
    """Its bar ends where those of the other rows do, unless the value is long."""
    value = value.rjust(15 if width >= _ROOMY else 10)
    return meter(label.ljust(_LABEL), share, value, role, width, glyphs)


def _heat(gpu: GpuStats, width: int, glyphs: Glyphs) -> Line:
    celsius, watts = gpu.temperature_c, gpu.power_w
    hot: Role = "warning" if celsius is not None and celsius >= _HOT_C else "text"
    warm = glyphs.none if celsius is None else f"{celsius:.0f} C"
    power = glyphs.none if watts is None else f"{watts:.0f}"
    if gpu.power_limit_w is not None:
        power += f" / {gpu.power_limit_w:.0f}"
    fields: list[tuple[int, Line]] = [
        (0, figure(warm, "", 7, hot)),
        (1, figure(power, " W", 13)),
    ]
    return Span("heat".ljust(_LABEL), "muted"), *pack(fields, width - _LABEL)


def _round(total_bytes: int) -> str:
    """A size that does not change: no zeros behind the point."""
    value, _, unit = size(total_bytes).partition(" ")
    return f"{float(value):g} {unit}"
