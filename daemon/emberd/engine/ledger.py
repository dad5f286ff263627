"""The texts that have no answer yet, each with its future. Event loop only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from emberd.engine.text import Embedded, Outcome, Request, Text
from emberd.errors import EmberdError

__all__ = ["Ledger", "TextFuture", "request_of"]


class TextFuture(asyncio.Future[Embedded]):
    """A text's future. That it tells of its own cancelling saves each text a done-callback."""

    __slots__ = ("on_cancel", "request", "text")

    text: Text | None
    request: Request
    on_cancel: Callable[[Text], None]

    def cancel(self, msg: object | None = None) -> bool:
        if not super().cancel(msg):
            return False
        if self.text is not None:
            self.on_cancel(self.text)
        return True


def request_of(future: asyncio.Future[Embedded]) -> Request | None:
    """What the text of a ledger's future came with."""
    return future.request if isinstance(future, TextFuture) else None


class Ledger:
    """Opens texts, settles each exactly once, and knows when none is left."""

    def __init__(self, abandon: Callable[[list[Text]], None]) -> None:
        """`abandon` is told, once a turn of the loop, which texts nobody waits for any more."""
        self._loop = asyncio.get_running_loop()
        self._abandon = abandon
        self._open: set[Text] = set()
        self._abandoned: list[Text] = []
        self._empty: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._open)

    def open(
        self, request: Request, contents: Sequence[str]
    ) -> tuple[list[Text], list[asyncio.Future[Embedded]]]:
        """A text and its future for each content."""
        loop, on_cancel = self._loop, self._on_cancel
        texts: list[Text] = []
        futures: list[asyncio.Future[Embedded]] = []
        for content in contents:
            future = TextFuture(loop=loop)
            future.text = text = Text(request, content, future)
            future.request = request
            future.on_cancel = on_cancel
            texts.append(text)
            futures.append(future)
        self._open.update(texts)
        return texts, futures

    def settle(self, outcomes: Iterable[tuple[Text, Outcome]]) -> None:
        """Answer texts; those that have their answer already are passed over."""
        for text, outcome in outcomes:
            future = text.future
            if not isinstance(future, TextFuture):
                continue
            self._close(text)
            if isinstance(outcome, EmberdError):
                future.set_exception(outcome)
                future.exception()  # seen: a client that left is no "never retrieved" warning
            else:
                future.set_result(outcome)
        self._tell_if_empty()

    def settle_all(self, error: Callable[[], EmberdError]) -> None:
        """Answer every open text with an error of its own."""
        self.settle([(text, error()) for text in self._open])

    async def wait_empty(self) -> None:
        """Until no text is open."""
        if self._open:
            self._empty = self._empty or self._loop.create_future()
            await asyncio.shield(self._empty)

    def _close(self, text: Text) -> None:
        self._open.discard(text)
        # A text and its future hold each other: 65,000 such pairs are for us to undo, not for
        # the garbage collector to find.
        if isinstance(text.future, TextFuture):
            text.future.text = None
        text.future = None

    def _on_cancel(self, text: Text) -> None:
        self._close(text)
        if not self._abandoned:
            self._loop.call_soon(self._tell_abandoned)
        self._abandoned.append(text)
        self._tell_if_empty()

    def _tell_abandoned(self) -> None:
        abandoned, self._abandoned = self._abandoned, []
        self._abandon(abandoned)

    def _tell_if_empty(self) -> None:
        if not self._open and self._empty is not None:
            if not self._empty.done():
                self._empty.set_result(None)
            self._empty = None
