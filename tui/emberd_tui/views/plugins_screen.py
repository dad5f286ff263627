"""The plugins: a table of all, and the selected one with its settings in full."""

from __future__ import annotations

import json
from collections.abc import Sequence

from emberd.wire.snapshot import PluginStats, Snapshot
from emberd_tui.asks import AskPlugin
from emberd_tui.format import count
from emberd_tui.frame import Frame
from emberd_tui.glyphs import Glyphs
from emberd_tui.parts import Column
from emberd_tui.screens.plugins import PLUGINS, is_in_trouble, selected_plugin
from emberd_tui.spans import Line, Role, Span, clean
from emberd_tui.views.body import (
    Body,
    Detail,
    described,
    labelled,
    latency_cell,
    listing,
    sortable,
    stacked,
    wrapped,
)

__all__ = ["plugins_screen"]

_ROLES: dict[str, Role] = {"enabled": "good", "blocked": "muted", "off": "muted"}


def plugins_screen(frame: Frame, snapshot: Snapshot, width: int, height: int) -> Body:
    """Every plugin that the daemon knows, those in trouble first."""
    rows = PLUGINS.rows(frame)
    bad = sum(is_in_trouble(plugin) for plugin in snapshot.plugins)
    legend: Line = (Span(f"{frame.glyphs.bad} {bad} in trouble", "bad"),) if bad else ()

    def draw_list(tall: int) -> list[Line]:
        return listing(
            frame,
            _columns(PLUGINS.sorts[frame.view.sort], frame.glyphs),
            rows,
            PLUGINS.index(frame, rows) if rows else 0,
            width,
            tall,
            title="Plugins",
            legend=legend,
            empty="no plugin has these words" if frame.view.text else "there is no plugin",
        )

    return stacked(frame, len(rows), draw_list, lambda room: _detail(frame, room), width, height)


def _columns(sort: str, glyphs: Glyphs) -> list[Column[PluginStats]]:
    columns: list[Column[PluginStats]] = [
        Column("plugin", 12, lambda row: (Span(clean(row.name), "strong"),), align="left"),
        Column("state", 14, lambda row: (_state(row, glyphs),), align="left"),
        Column("version", 8, lambda row: (_version(row, glyphs),), 5, align="left"),
        Column("provides", 16, _provides, 1, align="left", is_elastic=True),
        Column("calls", 6, lambda row: (Span(count(row.calls)),), 2),
        Column("p50", 7, lambda row: (latency_cell(row.latency, row.latency.p50_ms, glyphs),), 7),
        Column("p99", 7, lambda row: (latency_cell(row.latency, row.latency.p99_ms, glyphs),), 3),
        Column("errors", 7, lambda row: (_bad(row.errors),), 1),
        Column("trips", 5, lambda row: (_bad(row.trips),), 4),
        Column("dropped", 7, lambda row: (_bad(row.dropped),), 6),
    ]
    return sortable(columns, PLUGINS.sorts, sort)


def _version(plugin: PluginStats, glyphs: Glyphs) -> Span:
    return Span(clean(plugin.version) or glyphs.none, "muted")


def _provides(plugin: PluginStats) -> Line:
    return (Span(clean(", ".join(plugin.provides)), "faint"),)


def _state(plugin: PluginStats, glyphs: Glyphs) -> Span:
    marks = {"enabled": glyphs.good, "blocked": glyphs.dot, "off": glyphs.dot}
    word = plugin.state.replace("_error", " failed").replace("settings failed", "bad settings")
    return Span(f"{marks.get(plugin.state, glyphs.bad)} {word}", _ROLES.get(plugin.state, "bad"))


def _bad(value: int) -> Span:
    return Span(count(value), "bad" if value else "faint")


def _detail(frame: Frame, width: int) -> Detail:
    plugin = selected_plugin(frame)
    if plugin is None:
        return Detail("Plugin", [(Span("Nothing is selected.", "faint"),)])
    lines: list[Line] = [labelled("state", (_state(plugin, frame.glyphs),))]
    if plugin.message:
        role: Role = "bad" if is_in_trouble(plugin) else "text"
        lines += [(line[0]._replace(role=role),) for line in wrapped(plugin.message, width)]
    for label, text in (
        ("summary", plugin.summary),
        ("from", " ".join(filter(None, (plugin.source, plugin.version)))),
        ("provides", ", ".join(plugin.provides)),
        ("calls", f"{count(plugin.calls)}, {plugin.busy_s:,.1f} s in them"),
        ("troubles", _troubles(plugin)),
    ):
        lines += described(label, text, width) if text else []
    says = [f"{name} = {value}" for name, value in plugin.statistics.items()]
    lines += _listed("says", says)
    return Detail(plugin.name, [*lines, *_told(frame, plugin.name, width)])


def _troubles(plugin: PluginStats) -> str:
    figures = (
        (plugin.errors, "errors"),
        (plugin.trips, "trips"),
        (plugin.dropped, "records dropped"),
    )
    return ", ".join(f"{count(value)} {name}" for value, name in figures if value)


def _listed(label: str, texts: Sequence[str]) -> list[Line]:
    """One line a text, the label before the first."""
    return [labelled("" if index else label, text) for index, text in enumerate(texts)]


def _told(frame: Frame, name: str, width: int) -> list[Line]:
    """What only a look into the plugin tells."""
    info = frame.answers.plugin
    if info is None or info.name != name:
        is_missing = AskPlugin.method in frame.answers.missing
        return [labelled("settings", frame.glyphs.none if is_missing else "...")]
    settings = [f"{key} = {_short(value)}" for key, value in info.settings.items()]
    lines = _listed("settings", settings or ["none"])
    for label, text in (("hooks", ", ".join(info.hooks)), ("folder", info.folder)):
        lines += described(label, text, width) if text else []
    if info.last_error:
        lines += [labelled("last error", ""), *wrapped(info.last_error, width, "  ")]
    return lines


def _short(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
