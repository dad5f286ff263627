"""The plugins: every one that the daemon knows, what is wrong first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from emberd.wire.snapshot import PluginStats
from emberd_tui.asks import AskPlugin, SwitchPlugin
from emberd_tui.frame import Frame
from emberd_tui.screens.spec import Spec, is_match
from emberd_tui.view import Confirm, Row

__all__ = ["PLUGINS", "is_in_trouble", "selected_plugin"]

_REST = ("enabled", "blocked", "off")

_ORDERS: dict[str, Callable[[PluginStats], Any]] = {
    "state": lambda row: _REST.index(row.state) if row.state in _REST else -1,
    "plugin": lambda _: 0,
    "calls": lambda row: -row.calls,
    "p99": lambda row: -row.latency.p99_ms,
    "errors": lambda row: -row.errors,
}


def is_in_trouble(plugin: PluginStats) -> bool:
    """It does not do its work, and nobody has asked for that."""
    return plugin.state not in _REST


def selected_plugin(frame: Frame) -> PluginStats | None:
    """The one whose details are shown."""
    rows = _rows(frame)
    if not rows:
        return None
    found: PluginStats = rows[PLUGINS.index(frame, rows)].data
    return found


def _rows(frame: Frame) -> Sequence[Row]:
    plugins = frame.snapshot.plugins if frame.snapshot else []
    order = _ORDERS[PLUGINS.sorts[frame.view.sort]]
    shown = [row for row in plugins if is_match(frame.view.text, row.name, *row.provides)]
    return [
        Row(plugin.name, plugin)
        for plugin in sorted(shown, key=lambda plugin: (order(plugin), plugin.name))
    ]


def _wants(frame: Frame) -> tuple[AskPlugin, ...]:
    found = selected_plugin(frame)
    return () if found is None else (AskPlugin(found.name),)


def _confirms(frame: Frame, action: str) -> Confirm | None:
    found = selected_plugin(frame)
    if found is None or action not in ("enable", "disable"):
        return None
    is_on = action == "enable"
    return Confirm(
        f"{action.capitalize()} the plugin {found.name}?", SwitchPlugin(found.name, is_on)
    )


PLUGINS = Spec(
    rows=_rows,
    wants=_wants,
    sorts=tuple(_ORDERS),
    opens=True,
    confirms=_confirms,
    words="filter",
)
