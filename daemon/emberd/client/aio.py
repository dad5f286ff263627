"""The asyncio client: the same calls as `Client`, awaited."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

from msgspec import UNSET

from emberd.client import calls, embedding
from emberd.client.async_collections import AsyncCollectionCalls
from emberd.client.async_link import AsyncLink, open_link
from emberd.client.chunks import achunks
from emberd.client.connect import Connected, Door
from emberd.client.direct import Direct
from emberd.client.embedding import EmbedOptions, IterOptions
from emberd.client.failures import closed, late
from emberd.client.opening import Autostart, door_of
from emberd.client.replies import bare_vectors
from emberd.client.results import EmbedResult, PluginInfo
from emberd.client.settings import ClientSettings, Timeout
from emberd.client.steps import Await, Greet, Start, Step, Steps, Work
from emberd.errors import EmberdError, InvalidRequestError
from emberd.wire.hello import Welcome
from emberd.wire.insight import CacheInspection, HistoryColumns, LogLines, RequestRows, TopTexts
from emberd.wire.snapshot import CacheStats, PluginStats, Snapshot

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["AsyncClient"]

T = TypeVar("T")


class _Connection:
    """The link of one event loop in one process, and the lock under which it is made."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.pid = os.getpid()
        self.lock = asyncio.Lock()
        self.link: AsyncLink | None = None

    def is_of(self, loop: asyncio.AbstractEventLoop) -> bool:
        return self.loop is loop and self.pid == os.getpid()


class AsyncClient(AsyncCollectionCalls):
    """A client of the daemon for asyncio; tasks may share it, their requests share one
    connection.

    It connects at the first call, starts the daemon where none runs (`autostart`), and connects
    again after a loss, or when another event loop uses it. A cancelled call tells the daemon so.
    Every call raises the classes of `emberd.errors`.
    """

    def __init__(
        self,
        socket: str | os.PathLike[str] | None = None,
        *,
        autostart: Autostart = True,
        namespace: str = "default",
        token: str | None = None,
        timeout_s: float | None = 60.0,
        name: str | None = None,
        retries: int = 2,
        rate_limit_wait_s: float = 30.0,
        direct: bool = False,
    ) -> None:
        """The arguments are those of `Client`."""
        self._settings = ClientSettings.of(
            namespace, token, timeout_s, name, retries, rate_limit_wait_s
        )
        self._door: Door = door_of(socket, self._settings, autostart)
        self._direct = Direct(self._door.address, self._settings, is_wanted=direct)
        self._connection: _Connection | None = None
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the connection; calls that wait in other tasks fail."""
        link = self._own_link()
        if link is not None and link.is_open:
            with suppress(EmberdError):
                await self._run(self._direct.report())
        self._is_closed = True
        self._direct.close()
        link = self._own_link()
        if link is not None:
            await link.close(closed())

    @property
    def direct_state(self) -> str:
        """Of direct reads: "ready", "off", or why the socket answers."""
        return self._direct.state

    async def embed(
        self, texts: str | Iterable[str], **options: Unpack[EmbedOptions]
    ) -> NDArray[np.float32]:
        """Vectors: (n, dim) float32 in the order of the texts; of a single str, (dim,)."""
        found = None if options else await self._embed_at_once(texts)
        if found is None:
            steps = self._direct.embed(texts, is_bare=True, **options)
            found = (await self._run(steps)).vectors
        return found[0] if isinstance(texts, str) else found

    async def _embed_at_once(self, texts: str | Iterable[str]) -> NDArray[np.float32] | None:
        """A call as most are: few texts, no options, a connection that is there. None for others,
        which need what would only cost this one time."""
        link = self._own_link()
        if link is None or not link.is_open or self._direct.is_possible:
            return None
        settings = self._settings
        params = embedding.usual_params(settings, link.welcome, texts)
        if params is None:
            return None
        deadline = settings.deadline()
        try:
            result = await link.ask("embed", params, deadline)
        except EmberdError as exc:
            result = await self._run(embedding.usual_retry(settings, params, deadline, exc))
        return bare_vectors(result, len(params["texts"]))

    async def embed_detailed(
        self,
        texts: str | Iterable[str],
        *,
        partial: bool = False,
        **options: Unpack[EmbedOptions],
    ) -> EmbedResult:
        """Vectors and where they came from; with `partial`, a text that fails fails alone."""
        steps = self._direct.embed(texts, partial=partial, **options)
        return await self._run(steps)

    async def embed_iter(
        self, texts: Iterable[str] | AsyncIterable[str], **options: Unpack[IterOptions]
    ) -> AsyncGenerator[NDArray[np.float32], None]:
        """One (dim,) float32 vector a text, in order, of any number of texts: only a few thousand
        are held at a time."""
        plan, pipeline = await self._run(embedding.embed_pipeline(self._settings, **options))
        try:
            async for chunk in achunks(texts, plan):
                if pipeline.is_full:
                    for vector in await self._finished(pipeline):
                        yield vector
                await self._run(pipeline.start(chunk))
            while pipeline:
                for vector in await self._finished(pipeline):
                    yield vector
        finally:
            pipeline.close()

    async def similarity(
        self,
        a: str | Sequence[str],
        b: str | Sequence[str],
        *,
        model: str | None = None,
        namespace: str | None = None,
        timeout_s: Timeout = UNSET,
    ) -> NDArray[np.float32]:
        """Cosines of every text of `a` with every one of `b`: (len(a), len(b)) float32."""
        return await self._run(
            calls.similarity(self._settings, a, b, timeout_s, model=model, namespace=namespace)
        )

    async def count_tokens(
        self,
        texts: str | Iterable[str],
        *,
        model: str | None = None,
        timeout_s: Timeout = UNSET,
    ) -> list[int]:
        """Tokens of each text, special tokens included, before any truncation."""
        return await self._run(
            embedding.count_tokens(self._settings, texts, timeout_s, model=model)
        )

    async def ping(self, *, timeout_s: Timeout = UNSET) -> str:
        """One round trip; "pong"."""
        return await self._run(calls.ping(self._settings, timeout_s))

    async def hello(self) -> Welcome:
        """What the daemon said of itself: version, limits, models, namespace."""
        return await self._run(calls.hello(self._settings))

    async def stats(self, *, fresh: bool = False) -> Snapshot:
        """The latest snapshot; with `fresh`, the next one, within a second."""
        return await self._run(calls.stats(self._settings, fresh=fresh))

    async def stats_history(self, window_s: float = 300.0) -> HistoryColumns:
        """Figures of the last `window_s` seconds (an hour at most): a column a second up to 300,
        one every 10 s beyond."""
        return await self._run(calls.stats_history(self._settings, window_s))

    async def subscribe(self, interval_s: float = 1.0) -> AsyncGenerator[Snapshot, None]:
        """A snapshot every `interval_s`, the newest only; each iterator but the first that is open
        has a connection of its own.

        Raises ConnectionLostError when the daemon goes. Closing the iterator ends it.
        """
        settings = self._settings
        link = shared = await self._link()
        if not shared.follow():
            link = await self._opened()
            link.follow()
        try:
            await link.ask("stats.subscribe", {"interval_s": interval_s}, settings.deadline())
            while True:
                notification = await link.next_notification(settings.silence_s(interval_s))
                if notification is None:
                    raise late("stats.subscribe")
                yield calls.snapshot_of(notification.params[0])
        finally:
            link.unfollow()
            if link is not shared:
                await link.close(closed())
            else:
                with suppress(EmberdError):  # a lost link has no subscriptions
                    await link.start("stats.unsubscribe", {}, settings.deadline())

    async def cache_stats(self) -> CacheStats:
        """Tiers, write-behind and namespaces of the cache."""
        return await self._run(calls.cache_stats(self._settings))

    async def cache_clear(self, namespace: str | None) -> dict[str, int]:
        """Forget the vectors of a namespace, of all for None; records removed, by tier."""
        return await self._run(calls.cache_clear(self._settings, namespace))

    async def inspect(
        self,
        text: str,
        *,
        model: str | None = None,
        prompt: str | None = None,
        prefix: str | None = None,
        truncate: str | None = None,
        namespace: str | None = None,
    ) -> CacheInspection:
        """Which tiers of the cache have the vector of a text; counts as no use of it."""
        return await self._run(
            calls.cache_inspect(
                self._settings,
                text,
                model=model,
                prompt=prompt,
                prefix=prefix,
                truncate=truncate,
                namespace=namespace,
            )
        )

    async def top_texts(
        self, namespace: str | None = None, *, limit: int | None = None
    ) -> TopTexts:
        """The texts of a namespace with the most hits, where `cache.top_texts` keeps any."""
        return await self._run(calls.cache_top(self._settings, namespace=namespace, limit=limit))

    async def models_list(self) -> list[dict[str, Any]]:
        """One map a model that is loaded, stored or available."""
        return await self._run(calls.models_list(self._settings))

    async def models_load(self, name: str, *, timeout_s: Timeout = UNSET) -> dict[str, Any]:
        """Load a model, fetched first where needed; 600 s by default."""
        return await self._run(calls.models_load(self._settings, name, timeout_s))

    async def models_unload(self, name: str) -> bool:
        """Take a model out of memory; False where it was not there. Its cached vectors stay, and
        its next text loads it again."""
        return await self._run(calls.models_unload(self._settings, name))

    async def plugins(self) -> list[PluginStats]:
        """Every plugin that the daemon knows, loaded or not, with its state and figures."""
        return await self._run(calls.plugins_list(self._settings))

    async def plugin_info(self, name: str) -> PluginInfo:
        """One plugin with its settings, hooks and folder. Raises PluginNotFoundError."""
        return await self._run(calls.plugins_info(self._settings, name))

    async def enable_plugin(self, name: str) -> PluginStats:
        """Bring a plugin back that tripped or was disabled; where that takes a restart, the
        result's message says so. Raises PluginNotFoundError."""
        return await self._run(calls.plugins_enable(self._settings, name))

    async def disable_plugin(self, name: str) -> PluginStats:
        """Leave a plugin out until it is enabled or the daemon starts again. Raises
        PluginNotFoundError."""
        return await self._run(calls.plugins_disable(self._settings, name))

    async def check_plugins(self, name: str | None = None) -> list[PluginStats]:
        """Let a plugin (all for None) check itself again. Raises PluginNotFoundError."""
        return await self._run(calls.plugins_check(self._settings, name))

    async def requests(
        self,
        kind: str = "recent",
        *,
        client: str | None = None,
        method: str | None = None,
        failed: bool | None = None,
        limit: int | None = None,
    ) -> RequestRows:
        """The newest requests ("recent"), the slowest of the last hour ("slowest") or those over
        `log.slow_ms` ("slow"), of any client."""
        return await self._run(
            calls.requests_list(
                self._settings, kind, client=client, method=method, failed=failed, limit=limit
            )
        )

    async def log_lines(
        self,
        lines: int = 100,
        *,
        level: str | None = None,
        contains: str | None = None,
        after: int | None = None,
    ) -> LogLines:
        """The newest records of the daemon's log, of its last 2,000; with `after`, the `next` of
        an answer before, those that came later."""
        return await self._run(
            calls.logs_tail(self._settings, lines, level=level, contains=contains, after=after)
        )

    async def shutdown(self) -> None:
        """Ask the daemon to finish what is open and to leave."""
        await self._run(calls.shutdown(self._settings))

    async def call(self, method: str, /, **params: Any) -> Any:
        """Any method of the daemon, with its plain result; `emberd api` lists them."""
        return await self._run(calls.request(self._settings, method, params))

    async def _finished(self, pipeline: embedding.Pipeline) -> NDArray[np.float32]:
        chunk, result = await self._run(pipeline.finish())
        return bare_vectors(result, len(chunk.texts))

    async def _run(self, steps: Steps[T]) -> T:
        """Carry out the steps of a call."""
        try:
            step = next(steps)
            while True:
                try:
                    answer = await self._carry_out(step)
                except BaseException as exc:
                    step = steps.throw(exc)
                else:
                    step = steps.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result
        finally:
            steps.close()

    async def _carry_out(self, step: Step) -> Any:
        if isinstance(step, Await):
            return await step.ticket.wait(step.deadline)
        if isinstance(step, Start):
            link = await self._link()
            return await link.start(step.method, step.params, step.deadline)
        if isinstance(step, Greet):
            return (await self._link()).welcome
        if isinstance(step, Work):
            return await asyncio.to_thread(step.run)
        await asyncio.sleep(step.seconds)
        return None

    async def _link(self) -> AsyncLink:
        connection = self._connection
        if connection is None or not connection.is_of(asyncio.get_running_loop()):
            # Another loop's link cannot be used, nor closed, from here.
            self._connection = connection = _Connection(asyncio.get_running_loop())
        if connection.link is not None and connection.link.is_open:
            return connection.link
        async with connection.lock:
            if connection.link is None or not connection.link.is_open:
                connection.link = await self._opened()
            return connection.link

    def _own_link(self) -> AsyncLink | None:
        """The link that there is, unless another event loop made it."""
        connection = self._connection
        is_own = connection is not None and connection.is_of(asyncio.get_running_loop())
        return connection.link if connection is not None and is_own else None

    async def _opened(self) -> AsyncLink:
        self._check_not_closed()
        # On a thread: starting a daemon takes seconds, and a full backlog may block a connect.
        opening = asyncio.get_running_loop().run_in_executor(None, self._door.open)
        try:
            connected = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_unused)
            raise
        link = await open_link(connected, is_unix=self._door.address.path is not None)
        try:
            self._check_not_closed()  # it may have been closed meanwhile
        except InvalidRequestError:
            await link.close(closed())
            raise
        return link

    def _check_not_closed(self) -> None:
        if self._is_closed:
            raise closed()


def _close_unused(opening: asyncio.Future[Connected]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().sock.close()
