"""The plugins panel: what is wrong first, then who does what, and what they say of themselves."""

from __future__ import annotations

from emberd.wire.snapshot import PluginStats, Snapshot
from emberd_tui.format import count, milliseconds
from emberd_tui.frame import Frame
from emberd_tui.glyphs import Glyphs
from emberd_tui.parts import Column, box, keep, table
from emberd_tui.spans import Line, Role, Span, clean, fit

__all__ = ["plugin_lines", "plugin_problems", "plugins"]

_BUILT_IN = "lmdb"
_WORDS = {
    "load_error": "import",
    "settings_error": "settings",
    "check_error": "check",
}
_ROLES: dict[str, Role] = {"enabled": "good", "blocked": "muted", "off": "muted"}


def plugin_lines(snapshot: Snapshot) -> int:
    """How many lines the panel would like; 0 where there is nothing but what is always there."""
    rows = _rows(snapshot)
    return len(rows) + sum(bool(row.message) + bool(_says(row)) for row in rows)


def plugin_problems(snapshot: Snapshot, glyphs: Glyphs) -> Line:
    """The plugins in trouble in a few words; nothing where all are well."""
    found = [row for row in snapshot.plugins if _is_bad(row)]
    if not found:
        return ()
    text = f"{clean(found[0].name)} {_word(found[0])}" if len(found) == 1 else f"{len(found)}"
    return (Span(f"{glyphs.bad} ", "bad"), Span("plugins ", "muted"), Span(text, "bad"))


def plugins(frame: Frame, snapshot: Snapshot, width: int, height: int) -> list[Line]:
    """One row a plugin; below it, where there is room, its message and its statistics."""
    glyphs, inner = frame.glyphs, width - 4
    found = _rows(snapshot)
    heading, *cells = table(_columns(glyphs), found, inner, glyphs)
    rows: list[tuple[int, Line]] = [(0, heading)]
    for plugin, row in zip(found, cells, strict=True):
        rows.append((0, row))
        if plugin.message:
            role: Role = "bad" if _is_bad(plugin) else "muted"
            rows.append((1, (Span(f"  {clean(plugin.message)}", role),)))
        if says := _says(plugin):
            text = clean(f" {glyphs.dot} ".join(f"{name} {value}" for name, value in says.items()))
            rows.append((2, (Span(f"  {text}", "muted"),)))
    body = [
        (Span(" "), *fit(line, inner, glyphs.ellipsis)) for line in keep(rows, max(height - 2, 0))
    ]
    bad = sum(map(_is_bad, found))
    legend: Line = (Span(count(len(found)), "strong"),)
    if bad:
        legend = (Span(f"{glyphs.bad} {bad}", "bad"), Span(" of ", "muted"), *legend)
    return box((Span("Plugins", "title"),), legend, body, width, height, glyphs)


def _rows(snapshot: Snapshot) -> list[PluginStats]:
    found = [row for row in snapshot.plugins if row.state != "off"]
    if {row.name for row in found} <= {_BUILT_IN}:
        return []
    return sorted(found, key=lambda row: (not _is_bad(row), row.state == "blocked", row.name))


def _is_bad(plugin: PluginStats) -> bool:
    return plugin.state not in _ROLES


def _word(plugin: PluginStats) -> str:
    return _WORDS.get(plugin.state, plugin.state)


def _columns(glyphs: Glyphs) -> list[Column[PluginStats]]:
    return [
        Column("plugin", 12, _name, align="left", is_elastic=True),
        Column("state", 10, lambda row: (_state(row, glyphs),), align="left"),
        Column("calls", 6, lambda row: (Span(count(row.calls)),), rank=2),
        Column("errors", 6, lambda row: (_errors(row),), rank=1),
        Column("p99", 7, lambda row: (_p99(row, glyphs),), rank=3),
    ]


def _name(plugin: PluginStats) -> Line:
    provides = clean(", ".join(plugin.provides))
    name: Line = (Span(clean(plugin.name), "strong"),)
    return (*name, Span(f"  {provides}", "faint")) if provides else name


def _state(plugin: PluginStats, glyphs: Glyphs) -> Span:
    mark = {"enabled": glyphs.good, "blocked": glyphs.dot}.get(plugin.state, glyphs.bad)
    return Span(f"{mark} {_word(plugin)}", _ROLES.get(plugin.state, "bad"))


def _errors(plugin: PluginStats) -> Span:
    return Span(count(plugin.errors), "bad" if plugin.errors else "faint")


def _p99(plugin: PluginStats, glyphs: Glyphs) -> Span:
    if not plugin.latency.count:
        return Span(glyphs.none, "faint")
    return Span(milliseconds(plugin.latency.p99_ms))


def _says(plugin: PluginStats) -> dict[str, str]:
    """What it says of itself, and what it has missed."""
    missed = {"dropped": count(plugin.dropped)} if plugin.dropped else {}
    return missed | {name: _short(value) for name, value in plugin.statistics.items()}


def _short(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
