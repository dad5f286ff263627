"""Clients of the daemon: `Client` blocks, `AsyncClient` is for asyncio. Both start the daemon
where none runs, share one connection among all their callers and mend it when it breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emberd.client.results import (
    CheckReport,
    CollectionInfo,
    Document,
    EmbedResult,
    Hit,
    PluginInfo,
    UpsertResult,
)
from emberd.client.sync import Client
from emberd.wire.hello import Welcome

if TYPE_CHECKING:
    from emberd.client.aio import AsyncClient
    from emberd.client.autostart import Launcher

__all__ = [
    "AsyncClient",
    "CheckReport",
    "Client",
    "CollectionInfo",
    "Document",
    "EmbedResult",
    "Hit",
    "Launcher",
    "PluginInfo",
    "UpsertResult",
    "Welcome",
]


def __getattr__(name: str) -> Any:
    # asyncio and subprocess take longer to import than the rest together.
    if name == "AsyncClient":
        from emberd.client.aio import AsyncClient  # noqa: PLC0415

        return AsyncClient
    if name == "Launcher":
        from emberd.client.autostart import Launcher  # noqa: PLC0415

        return Launcher
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
