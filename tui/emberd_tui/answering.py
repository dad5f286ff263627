"""How a client carries out what the dashboard asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emberd.errors import MethodNotFoundError
from emberd_tui.answers import Answer
from emberd_tui.asks import (
    Ask,
    AskHistory,
    AskInspection,
    AskLogs,
    AskPlugin,
    AskRequests,
    AskSearch,
    AskTopTexts,
    ClearNamespace,
    SwitchPlugin,
)

if TYPE_CHECKING:
    from emberd.client import AsyncClient

__all__ = ["HITS", "answer"]

HITS = 30
"""Documents that a search brings."""

_LINES = 500
_PARTS: Final = ("text", "metadata", "snippet")
_REQUESTS = 200
_TOP_TEXTS = 100


async def answer(client: AsyncClient, ask: Ask) -> Answer:
    """The daemon's answer. Raises EmberdError, MethodNotFoundError of an older daemon's."""
    result: Answer
    match ask:
        case AskHistory(window_s=window_s):
            result = await client.stats_history(window_s)
        case AskPlugin(name=name):
            result = await client.plugin_info(name)
        case SwitchPlugin(name=name, is_on=is_on):
            await (client.enable_plugin if is_on else client.disable_plugin)(name)
            result = await client.plugin_info(name)
        case AskSearch(collection=collection, query=query):
            result = await client.search(collection, query, HITS, include=_PARTS)
        case AskInspection(text=text):
            result = await client.inspect(text)
        case AskTopTexts(namespace=namespace):
            result = await client.top_texts(namespace, limit=_TOP_TEXTS)
        case ClearNamespace(name=name):
            result = await client.cache_clear(name)
        case AskRequests(kind=kind):
            result = await client.requests(kind, limit=_REQUESTS)
        case AskLogs(after=after):
            result = await client.log_lines(_LINES, level="debug", after=after)
        case _:
            raise MethodNotFoundError(f"No method answers {type(ask).__name__}.")
    return result
