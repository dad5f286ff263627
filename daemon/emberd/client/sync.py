"""The blocking client."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

from msgspec import UNSET

from emberd.client import calls, embedding
from emberd.client.chunks import chunks
from emberd.client.connect import Door
from emberd.client.direct import Direct
from emberd.client.embedding import EmbedOptions, IterOptions
from emberd.client.failures import closed, late
from emberd.client.link import Link, LinkTicket
from emberd.client.opening import Autostart, door_of
from emberd.client.replies import bare_vectors
from emberd.client.results import EmbedResult, PluginInfo
from emberd.client.settings import ClientSettings, Timeout
from emberd.client.steps import Await, Greet, Start, Step, Steps, Work
from emberd.client.sync_collections import CollectionCalls
from emberd.errors import EmberdError, InvalidRequestError
from emberd.wire.hello import Welcome
from emberd.wire.insight import CacheInspection, HistoryColumns, LogLines, RequestRows, TopTexts
from emberd.wire.snapshot import CacheStats, PluginStats, Snapshot

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Client"]

T = TypeVar("T")


class _Connection:
    """The link of one process, and the lock under which it is made."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = threading.Lock()
        self.link: Link | None = None


class Client(CollectionCalls):
    """A client of the daemon; threads may share it, their requests share one connection.

    It connects at the first call, starts the daemon where none runs (`autostart`), and connects
    again after a loss. Every call raises the classes of `emberd.errors`; among them
    DaemonUnreachableError, RequestTimeoutError and OverloadedError.
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
        """`socket` is a path, `tcp://host:port` (with its `token`) or None for this user's daemon.

        `timeout_s` holds for each request (None waits for ever); `retries` bounds how often a
        request is sent again to an overloaded daemon, and 0 also forbids the one that follows a
        lost connection. `rate_limit_wait_s` bounds the waiting of a request that a rate limiter
        refused; RateLimitedError is raised at once where that would be longer, and always with 0.
        With `direct`, `embed` and `embed_detailed` read hits from the cache's file in this process
        wherever that may be (`direct_state`), and send the daemon the other texts alone.
        """
        self._settings = ClientSettings.of(
            namespace, token, timeout_s, name, retries, rate_limit_wait_s
        )
        self._door: Door = door_of(socket, self._settings, autostart)
        self._direct = Direct(self._door.address, self._settings, is_wanted=direct)
        self._connection = _Connection()
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection; calls that wait in other threads fail."""
        link = self._own_link()
        if link is not None and link.is_open:
            with suppress(EmberdError):
                self._run(self._direct.report())
        self._is_closed = True
        self._direct.close()
        link = self._own_link()
        if link is not None:
            link.close(closed())

    @property
    def direct_state(self) -> str:
        """Of direct reads: "ready", "off", or why the socket answers."""
        return self._direct.state

    def embed(
        self, texts: str | Iterable[str], **options: Unpack[EmbedOptions]
    ) -> NDArray[np.float32]:
        """Vectors: (n, dim) float32 in the order of the texts; of a single str, (dim,)."""
        found = None if options else self._embed_at_once(texts)
        if found is None:
            found = self._run(self._direct.embed(texts, is_bare=True, **options)).vectors
        return found[0] if isinstance(texts, str) else found

    def _embed_at_once(self, texts: str | Iterable[str]) -> NDArray[np.float32] | None:
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
            result = link.ask("embed", params, deadline)
        except EmberdError as exc:
            result = self._run(embedding.usual_retry(settings, params, deadline, exc))
        return bare_vectors(result, len(params["texts"]))

    def embed_detailed(
        self,
        texts: str | Iterable[str],
        *,
        partial: bool = False,
        **options: Unpack[EmbedOptions],
    ) -> EmbedResult:
        """Vectors and where they came from; with `partial`, a text that fails fails alone."""
        return self._run(self._direct.embed(texts, partial=partial, **options))

    def embed_iter(
        self, texts: Iterable[str], **options: Unpack[IterOptions]
    ) -> Generator[NDArray[np.float32], None, None]:
        """One (dim,) float32 vector a text, in order, of any number of texts: only a few thousand
        are held at a time."""
        plan, pipeline = self._run(embedding.embed_pipeline(self._settings, **options))
        try:
            for chunk in chunks(texts, plan):
                if pipeline.is_full:
                    yield from self._finished(pipeline)
                self._run(pipeline.start(chunk))
            while pipeline:
                yield from self._finished(pipeline)
        finally:
            pipeline.close()

    def similarity(
        self,
        a: str | Sequence[str],
        b: str | Sequence[str],
        *,
        model: str | None = None,
        namespace: str | None = None,
        timeout_s: Timeout = UNSET,
    ) -> NDArray[np.float32]:
        """Cosines of every text of `a` with every one of `b`: (len(a), len(b)) float32."""
        return self._run(
            calls.similarity(self._settings, a, b, timeout_s, model=model, namespace=namespace)
        )

    def count_tokens(
        self,
        texts: str | Iterable[str],
        *,
        model: str | None = None,
        timeout_s: Timeout = UNSET,
    ) -> list[int]:
        """Tokens of each text, special tokens included, before any truncation."""
        return self._run(embedding.count_tokens(self._settings, texts, timeout_s, model=model))

    def ping(self, *, timeout_s: Timeout = UNSET) -> str:
        """One round trip; "pong"."""
        return self._run(calls.ping(self._settings, timeout_s))

    def hello(self) -> Welcome:
        """What the daemon said of itself: version, limits, models, namespace."""
        return self._run(calls.hello(self._settings))

    def stats(self, *, fresh: bool = False) -> Snapshot:
        """The latest snapshot; with `fresh`, the next one, within a second."""
        return self._run(calls.stats(self._settings, fresh=fresh))

    def stats_history(self, window_s: float = 300.0) -> HistoryColumns:
        """Figures of the last `window_s` seconds (an hour at most): a column a second up to 300,
        one every 10 s beyond."""
        return self._run(calls.stats_history(self._settings, window_s))

    def subscribe(self, interval_s: float = 1.0) -> Generator[Snapshot, None, None]:
        """A snapshot every `interval_s`, the newest only, over a connection of its own.

        Raises ConnectionLostError when the daemon goes. Closing the iterator ends it.
        """
        link = self._opened()
        try:
            ticket = link.start("stats.subscribe", {"interval_s": interval_s}, None)
            ticket.wait(self._settings.deadline())
            while True:
                notification = link.next_notification(self._settings.silence_s(interval_s))
                if notification is None:
                    raise late("stats.subscribe")
                yield calls.snapshot_of(notification.params[0])
        finally:
            link.close(closed())

    def cache_stats(self) -> CacheStats:
        """Tiers, write-behind and namespaces of the cache."""
        return self._run(calls.cache_stats(self._settings))

    def cache_clear(self, namespace: str | None) -> dict[str, int]:
        """Forget the vectors of a namespace, of all for None; records removed, by tier."""
        return self._run(calls.cache_clear(self._settings, namespace))

    def inspect(
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
        return self._run(
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

    def top_texts(self, namespace: str | None = None, *, limit: int | None = None) -> TopTexts:
        """The texts of a namespace with the most hits, where `cache.top_texts` keeps any."""
        return self._run(calls.cache_top(self._settings, namespace=namespace, limit=limit))

    def models_list(self) -> list[dict[str, Any]]:
        """One map a model that is loaded, stored or available."""
        return self._run(calls.models_list(self._settings))

    def models_load(self, name: str, *, timeout_s: Timeout = UNSET) -> dict[str, Any]:
        """Load a model, fetched first where needed; 600 s by default."""
        return self._run(calls.models_load(self._settings, name, timeout_s))

    def models_unload(self, name: str) -> bool:
        """Take a model out of memory; False where it was not there. Its cached vectors stay, and
        its next text loads it again."""
        return self._run(calls.models_unload(self._settings, name))

    def plugins(self) -> list[PluginStats]:
        """Every plugin that the daemon knows, loaded or not, with its state and figures."""
        return self._run(calls.plugins_list(self._settings))

    def plugin_info(self, name: str) -> PluginInfo:
        """One plugin with its settings, hooks and folder. Raises PluginNotFoundError."""
        return self._run(calls.plugins_info(self._settings, name))

    def enable_plugin(self, name: str) -> PluginStats:
        """Bring a plugin back that tripped or was disabled; where that takes a restart, the
        result's message says so. Raises PluginNotFoundError."""
        return self._run(calls.plugins_enable(self._settings, name))

    def disable_plugin(self, name: str) -> PluginStats:
        """Leave a plugin out until it is enabled or the daemon starts again. Raises
        PluginNotFoundError."""
        return self._run(calls.plugins_disable(self._settings, name))

    def check_plugins(self, name: str | None = None) -> list[PluginStats]:
        """Let a plugin (all for None) check itself again. Raises PluginNotFoundError."""
        return self._run(calls.plugins_check(self._settings, name))

    def requests(
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
        return self._run(
            calls.requests_list(
                self._settings, kind, client=client, method=method, failed=failed, limit=limit
            )
        )

    def log_lines(
        self,
        lines: int = 100,
        *,
        level: str | None = None,
        contains: str | None = None,
        after: int | None = None,
    ) -> LogLines:
        """The newest records of the daemon's log, of its last 2,000; with `after`, the `next` of
        an answer before, those that came later."""
        return self._run(
            calls.logs_tail(self._settings, lines, level=level, contains=contains, after=after)
        )

    def shutdown(self) -> None:
        """Ask the daemon to finish what is open and to leave."""
        self._run(calls.shutdown(self._settings))

    def call(self, method: str, /, **params: Any) -> Any:
        """Any method of the daemon, with its plain result; `emberd api` lists them."""
        return self._run(calls.request(self._settings, method, params))

    def _finished(self, pipeline: embedding.Pipeline) -> NDArray[np.float32]:
        chunk, result = self._run(pipeline.finish())
        return bare_vectors(result, len(chunk.texts))

    def _run(self, steps: Steps[T]) -> T:
        """Carry out the steps of a call."""
        answer: Any = None
        try:
            step = next(steps)
            while True:
                try:
                    answer = self._carry_out(step)
                except BaseException as exc:
                    step = steps.throw(exc)
                else:
                    step = steps.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result
        except BaseException:
            if isinstance(answer, LinkTicket):  # Ctrl-C may have come before the call had it
                answer.abandon()
            raise
        finally:
            steps.close()

    def _carry_out(self, step: Step) -> Any:
        if isinstance(step, Await):
            return step.ticket.wait(step.deadline)
        if isinstance(step, Start):
            return self._link().start(step.method, step.params, step.deadline)
        if isinstance(step, Greet):
            return self._link().welcome
        if isinstance(step, Work):
            return step.run()
        time.sleep(step.seconds)
        return None

    def _link(self) -> Link:
        connection = self._connection
        if connection.pid != os.getpid():
            connection = self._after_fork(connection)
        link = connection.link
        if link is not None and link.is_open:
            return link
        with connection.lock:
            if connection.link is None or not connection.link.is_open:
                connection.link = self._opened()
            return connection.link

    def _own_link(self) -> Link | None:
        """The link that there is, unless a parent process made it."""
        connection = self._connection
        return connection.link if connection.pid == os.getpid() else None

    def _after_fork(self, inherited: _Connection) -> _Connection:
        """The parent goes on using its socket, and its threads may have held its locks."""
        self._connection = own = _Connection()
        if inherited.link is not None:
            inherited.link.discard()
        return own

    def _opened(self) -> Link:
        self._check_not_closed()
        link = Link(self._door.open())
        try:
            self._check_not_closed()  # it may have been closed meanwhile
        except InvalidRequestError:
            link.close(closed())
            raise
        return link

    def _check_not_closed(self) -> None:
        if self._is_closed:
            raise closed()
