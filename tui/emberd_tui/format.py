"""Numbers for people: at most a known width, so that a column never moves.

Each function names its widest answer; views pad to it. ASCII only.
"""

from __future__ import annotations

__all__ = [
    "brief",
    "clock",
    "count",
    "duration",
    "milliseconds",
    "percent",
    "position",
    "rate",
    "size",
]

_THOUSANDS = ("", "k", "M", "G", "T", "P", "E")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def count(value: float) -> str:
    """A whole number: `12,345`, above that three digits: `123k`, `1.23M`. At most 6 cells."""
    whole = round(value)
    if abs(whole) < 100_000:
        return f"{whole:,}"
    return _scaled(float(whole), 1_000.0, _THOUSANDS)


def brief(value: float) -> str:
    """A number for tight places: `409`, `1.2k`, `12k`, `1.2M`. At most 4 cells."""
    step = 0
    while value >= 999.5 and step < len(_THOUSANDS) - 1:
        value /= 1_000.0
        step += 1
    shown = f"{value:.1f}" if step and value < 9.95 else f"{value:.0f}"
    return shown + _THOUSANDS[step]


def rate(value: float) -> str:
    """A number a second: one decimal below 10. At most 6 cells."""
    if 0 < value < 0.05:
        return "<0.1"
    return f"{value:.1f}" if 0 < value < 9.95 else count(value)


def size(value: float) -> str:
    """Bytes in binary units: `512 B`, `12.3 MiB`. At most 8 cells."""
    if value < 1_000:
        return f"{round(value)} B"
    return _scaled(float(value), 1_024.0, tuple(f" {unit}" for unit in _BINARY))


def _scaled(value: float, base: float, units: tuple[str, ...]) -> str:
    step = 0
    # 999.5 would be shown with four digits: take the next unit from there.
    while value >= 999.5 and step < len(units) - 1:
        value /= base
        step += 1
    return _three_digits(value) + units[step]


def _three_digits(value: float) -> str:
    if value < 9.995:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def milliseconds(value: float) -> str:
    """A latency given in ms: `0.31 ms`, `94.2 ms`, `1.25 s`. At most 7 cells."""
    if value < 999.5:
        return f"{_three_digits(value)} ms"
    return f"{_three_digits(value / 1e3)} s" if value < 999_500 else duration(value / 1e3)


def duration(seconds: float) -> str:
    """A time in its two largest units: `42s`, `12m 05s`, `2h 14m`, `3d 04h`. At most 7 cells."""
    whole = int(seconds)
    if whole < _MINUTE:
        return f"{whole}s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m {whole % _MINUTE:02d}s"
    if whole < _DAY:
        return f"{whole // _HOUR}h {whole % _HOUR // _MINUTE:02d}m"
    days = whole // _DAY
    return f"{days}d {whole % _DAY // _HOUR:02d}h" if days < 100 else f"{count(days)}d"


def percent(ratio: float) -> str:
    """A share: `84.1%`; `100%` and `0%` only when it is exactly so. At most 5 cells."""
    if ratio <= 0:
        return "0%"
    if ratio >= 1:
        return f"{min(ratio, 99.99):.0%}"
    if ratio < 0.0005:
        return "<0.1%"
    return f"{min(ratio, 0.999):.1%}"


def clock(seconds: float) -> str:
    """How long a window is, for an axis: `60s`, `5m`, `1h`. At most 3 cells."""
    if seconds < 100:
        return f"{round(seconds)}s"
    return f"{round(seconds / _MINUTE)}m" if seconds < _HOUR else f"{round(seconds / _HOUR)}h"


def position(seconds: float) -> str:
    """A place in a recording: `0:42`, `12:05`, `1:02:03`. At most 7 cells below ten hours."""
    minutes, second = divmod(int(seconds), _MINUTE)
    hours, minute = divmod(minutes, _MINUTE)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
