"""Every screen's behaviour by its name."""

from __future__ import annotations

from emberd_tui.names import ScreenName
from emberd_tui.screens.cache import CACHE
from emberd_tui.screens.collections import INDEX
from emberd_tui.screens.logs import LOGS
from emberd_tui.screens.overview import OVERVIEW
from emberd_tui.screens.plugins import PLUGINS
from emberd_tui.screens.requests import REQUESTS
from emberd_tui.screens.spec import Spec

__all__ = ["SPECS"]

SPECS: dict[ScreenName, Spec] = {
    "overview": OVERVIEW,
    "requests": REQUESTS,
    "cache": CACHE,
    "index": INDEX,
    "plugins": PLUGINS,
    "logs": LOGS,
}
