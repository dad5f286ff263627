"""Loading plugins where no daemon runs, to see whether they would work."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from msgspec import structs

from emberd.paths import ensure_private_folder
from emberd.plugins.manager import Plugins
from emberd.telemetry import EventLog

if TYPE_CHECKING:
    from emberd.config import Settings
    from emberd.paths import Paths
    from emberd.wire.snapshot import PluginStats

__all__ = ["check_here"]


def check_here(settings: Settings, paths: Paths, name: str | None) -> list[PluginStats]:
    """Load a plugin (all that the settings let in for None) as the daemon would, and let go of
    it again; empty where there is no such plugin. Whatever it raises is in its message."""
    return asyncio.run(_check(settings, paths, name))


async def _check(settings: Settings, paths: Paths, name: str | None) -> list[PluginStats]:
    rules = structs.replace(settings.plugins, required=[])
    if name is not None:  # one that is off or not allowed can be checked all the same
        rules = structs.replace(rules, allow=[name])
    ensure_private_folder(paths.data)
    # Its lines would stand among the answers.
    log = logging.getLogger("emberd.check")
    log.propagate = False
    log.addHandler(logging.NullHandler())
    plugins = Plugins(
        structs.replace(settings, plugins=rules), paths.data, paths.cache, EventLog(log), {}
    )
    try:
        await plugins.start()
        return [row for row in plugins.stats() if name in (None, row.name)]
    finally:
        await plugins.close()
