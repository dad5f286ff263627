"""A source that changes nothing: what only reads passes, everything else is refused.

The keys of a read-only dashboard do not lead here; this holds where one of them is forgotten.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from emberd.errors import InvalidRequestError
from emberd_tui.answers import Answer
from emberd_tui.asks import Ask
from emberd_tui.source import Source
from emberd_tui.states import Passed, State

__all__ = ["ReadOnlySource"]


class ReadOnlySource:
    """Another source, without its orders."""

    can_start = False

    def __init__(self, source: Source) -> None:
        self._source = source
        self.address = source.address

    def states(self) -> AsyncIterator[State | Passed]:
        """The other's."""
        return self._source.states()

    async def ask(self, ask: Ask) -> Answer:
        """The daemon's answer. Raises EmberdError, InvalidRequestError of what changes things."""
        if not ask.only_reads:
            raise InvalidRequestError(
                f"This dashboard is read-only and does not send {ask.method}."
            )
        return await self._source.ask(ask)

    def retry(self) -> None:
        """Of the same daemon, so allowed."""
        self._source.retry()

    def start(self) -> None:
        """Starts nothing."""
