"""Plugins for people: those that a daemon has, and those that are installed where none runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from emberd.cli.printing import duration, pair_lines, plural, table_lines
from emberd.cli.settings_file import mask, toml_value

if TYPE_CHECKING:
    from emberd.client import PluginInfo
    from emberd.config import Settings
    from emberd.wire.snapshot import PluginStats

__all__ = [
    "PROBLEMS",
    "Installed",
    "info_lines",
    "installed_info_lines",
    "installed_lines",
    "installed_plugins",
    "list_lines",
]

PROBLEMS = frozenset({"load_error", "settings_error", "check_error", "tripped"})
"""The states in which something is wrong."""


class Installed(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin that is not loaded, as its package and the settings have it."""

    name: str
    state: str
    """allowed, blocked, off, or load_error where two packages have the same name for one."""
    version: str
    source: str
    summary: str
    message: str


def installed_plugins(settings: Settings) -> list[Installed]:
    """What the daemon would find, by name; imports none of them."""
    # Here, as it brings NumPy: those who ask a daemon do without.
    from emberd.plugins.loader import installed  # noqa: PLC0415
    from emberd.plugins.rules import Rules, verdicts  # noqa: PLC0415

    rules = Rules.of(settings.plugins, settings.plugin, os.environ)
    rows = [
        Installed(
            name=found.name,
            state="allowed" if verdict.state == "enabled" else verdict.state,
            version=found.version,
            source=found.source,
            summary=found.summary,
            message=verdict.message,
        )
        for found, verdict in verdicts(installed(), rules)
    ]
    return sorted(rows, key=lambda row: row.name)


def list_lines(plugins: Sequence[PluginStats]) -> list[str]:
    """A table, then what each has to say."""
    header = ["NAME", "STATE", "VERSION", "PROVIDES", "CALLS", "ERRORS", "P99"]
    cells = [
        [
            row.name,
            row.state,
            row.version or "-",
            ", ".join(row.provides) or "-",
            f"{row.calls:,}",
            f"{row.errors:,}",
            f"{row.latency.p99_ms:.2f} ms" if row.latency.count else "-",
        ]
        for row in plugins
    ]
    return [*table_lines(header, cells, right="CALLS ERRORS P99"), *_messages(plugins)]


def installed_lines(plugins: Sequence[Installed]) -> list[str]:
    """A table, then what each has to say."""
    header = ["NAME", "STATE", "VERSION", "PACKAGE"]
    cells = [[row.name, row.state, row.version or "-", row.source or "-"] for row in plugins]
    return [*table_lines(header, cells), *_messages(plugins)]


def _messages(plugins: Sequence[PluginStats] | Sequence[Installed]) -> list[str]:
    return [f"  {row.name}: {row.message}" for row in plugins if row.message]


def info_lines(info: PluginInfo) -> list[str]:
    """Everything of one plugin."""
    latency = info.latency
    p99 = f", p50 {latency.p50_ms:.2f} ms, p99 {latency.p99_ms:.2f} ms" if latency.count else ""
    trips = f", tripped {plural(info.trips, 'time')}" if info.trips else ""
    dropped = f"{plural(info.dropped, 'record')} missed" if info.dropped else ""
    pairs = [
        ("name", info.name),
        ("package", f"{info.source} {info.version}".strip()),
        ("", info.summary),
        ("state", info.state),
        ("", info.message),
        ("provides", ", ".join(info.provides)),
        ("hooks", ", ".join(info.hooks)),
        ("calls", f"{info.calls:,}, {duration(info.busy_s)} in them{p99}"),
        ("errors", f"{info.errors:,}{trips}"),
        ("last error", info.last_error),
        ("dropped", dropped),
        ("folder", info.folder),
        *(("setting", f"{key} = {toml_value(value)}") for key, value in info.settings.items()),
        *(("figure", f"{name} {value}") for name, value in info.statistics.items()),
    ]
    return pair_lines([(name, value) for name, value in pairs if value])


def installed_info_lines(row: Installed, settings: Settings) -> list[str]:
    """What is known of one plugin that is not loaded."""
    section = settings.plugin.get(row.name, {})
    pairs = [
        ("name", row.name),
        ("package", f"{row.source} {row.version}".strip()),
        ("", row.summary),
        ("state", row.state),
        ("", row.message),
        *(("setting", f"{key} = {toml_value(mask(key, value))}") for key, value in section.items()),
    ]
    return pair_lines([(name, value) for name, value in pairs if value])
