"""Which plugins are installed. Nothing of theirs is imported but by `Found.load`."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from emberd.errors import PluginFailedError
from emberd.plugins.hooks import PROJECT

__all__ = ["Found", "installed"]

# A distribution has one summary, and emberd's is not its plugins'.
_BUNDLED = {
    "limits": "Rates and quotas for clients and namespaces, and a concurrency that adapts.",
    "redis": "A cache tier in Redis, shared between machines.",
    "upstream": "Models of other embedding servers, behind this cache.",
}


@dataclass(frozen=True, slots=True)
class Found:
    """A plugin that is there."""

    name: str
    load: Callable[[], object]
    """Imports it: runs its code, and raises whatever that raises."""
    source: str = ""
    """The distribution that it came with."""
    version: str = ""
    summary: str = ""
    is_bundled: bool = False
    """Came with emberd, and is loaded only where the settings ask for it."""
    is_built_in: bool = False
    """A part of the daemon, which is always loaded."""


def installed() -> list[Found]:
    """The plugins of all installed distributions; those of emberd itself first, then by name.

    Reads the disk, 10 ms or so.
    """
    found = [_found(entry) for entry in importlib.metadata.entry_points(group=PROJECT)]
    return sorted(found, key=lambda each: (not each.is_bundled, each.name))


def _found(entry: importlib.metadata.EntryPoint) -> Found:
    source, version, summary = _distribution_of(entry)
    is_bundled = source == PROJECT
    if is_bundled:
        summary = _BUNDLED.get(entry.name, "")
    return Found(
        entry.name, lambda: _loaded(entry), source, version, summary, is_bundled=is_bundled
    )


def _distribution_of(entry: importlib.metadata.EntryPoint) -> tuple[str, str, str]:
    """Name, version and summary."""
    try:
        metadata: Any = entry.dist.metadata if entry.dist is not None else {}
        return (
            str(metadata.get("Name") or "unknown"),
            str(metadata.get("Version") or ""),
            str(metadata.get("Summary") or ""),
        )
    except Exception:  # somebody else's broken installation
        return "unknown", "", ""


def _loaded(entry: importlib.metadata.EntryPoint) -> object:
    try:
        plugin = entry.load()
    except ModuleNotFoundError as exc:
        own = entry.module.partition(".")[0]
        missing = (exc.name or "").partition(".")[0]
        if not missing or missing == own:
            raise
        raise PluginFailedError(
            f"It needs the package {missing!r}, which is not installed: install it into the "
            "environment of emberd and restart the daemon."
        ) from exc
    # An author may as well name the class as an object of it.
    return plugin() if isinstance(plugin, type) else plugin
