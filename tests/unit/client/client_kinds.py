"""Both clients behind one face, so that each promise is tested once for both."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from typing import Any

from emberd.client import AsyncClient, Client

WAIT_S = 30.0


class LoopedClient:
    """An AsyncClient in a loop of its own thread, called from any thread."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.client = AsyncClient(*args, **options)
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def __enter__(self) -> LoopedClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(WAIT_S)
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.client, name)

        def call(*args: Any, **options: Any) -> Any:
            found = method(*args, **options)
            return self._iterate(found) if inspect.isasyncgen(found) else self._run(found)

        return call

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(WAIT_S)

    def _iterate(self, items: AsyncGenerator[Any, None]) -> Iterator[Any]:
        async def following() -> Any:
            return await anext(items, self)

        try:
            while (item := self._run(following())) is not self:
                yield item
        finally:
            self._run(items.aclose())


KINDS: dict[str, Any] = {"blocking": Client, "asyncio": LoopedClient}
