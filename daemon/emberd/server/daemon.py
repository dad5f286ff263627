"""The process: start in order, serve, drain, leave nothing half-written."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from emberd import __version__
from emberd.cache import Cache
from emberd.config import Settings
from emberd.engine import Engine
from emberd.errors import EmberdError
from emberd.index import Collections
from emberd.models import ModelStore
from emberd.paths import Paths, ensure_private_folder
from emberd.plugins.loader import Found
from emberd.plugins.manager import Plugins
from emberd.server.builtin import PersistentTier
from emberd.server.listener import bind_tcp, bind_unix, inherited_socket, remove_socket
from emberd.server.lock import FolderLock
from emberd.server.monitor import LoopMonitor
from emberd.server.ready import ReadyPipe, notify_systemd
from emberd.server.session import Session
from emberd.server.sessions import Sessions
from emberd.service.admission import Admission
from emberd.service.client_limits import LimitReader
from emberd.service.collections import CollectionService
from emberd.service.compute import Computations
from emberd.service.direct import DirectReads
from emberd.service.embedder_models import Embedders
from emberd.service.embedding import EmbeddingService
from emberd.service.fallback import Fallbacks
from emberd.service.observation import Observation
from emberd.service.registry import ModelRegistry
from emberd.service.request_log import RequestLog
from emberd.service.service import Service
from emberd.service.snapshots import SnapshotBuilder
from emberd.service.statistics import Statistics
from emberd.service.subscriptions import Snapshots
from emberd.telemetry import EventLog
from emberd.telemetry.gpu import GpuReader, GpuWatch
from emberd.telemetry.log_ring import LogRing
from emberd.telemetry.top_texts import TopTextCounts

if TYPE_CHECKING:
    from emberd.server.http import Gateway
    from emberd.wire.snapshot import Snapshot

__all__ = ["Daemon"]

_TERMINATION = (signal.SIGTERM, signal.SIGINT)


class Daemon:
    """One daemon on one set of folders.

    `start` raises EmberdError and leaves nothing behind; `serve` returns when the daemon was
    asked to leave and everything is written.
    """

    def __init__(
        self,
        settings: Settings,
        paths: Paths,
        logger: logging.Logger,
        plugins: Sequence[Found] | None = None,
    ) -> None:
        """`plugins` are there in place of the installed ones."""
        self._settings = settings
        self._paths = paths
        self._logger = logger
        self._logs = LogRing()
        self._events = EventLog(logger)
        self._stop = asyncio.Event()
        self._closing = contextlib.AsyncExitStack()
        self._servers: list[asyncio.Server] = []
        self._monitor = LoopMonitor()
        self._gateway: Gateway | None = None
        self._statistics = Statistics()
        self._requests = RequestLog(settings.log.slow_ms, logger)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._plugins = Plugins(
            settings,
            paths.data,
            paths.cache,
            self._events,
            {"lmdb": PersistentTier()},
            installed=plugins,
        )

    @property
    def is_stopping(self) -> bool:
        """It was asked to leave."""
        return self._stop.is_set()

    async def start(self) -> None:
        """Take the locks, open the cache, listen. Raises EmberdError where that cannot be."""
        try:
            await self._start()
        except BaseException:
            await self._closing.aclose()
            raise

    async def serve(self, ready: ReadyPipe) -> None:
        """Say that the socket answers and serve until asked to stop; then drain and close."""
        self._handle_signals()
        ready.ready(str(self._paths.socket))
        notify_systemd("READY=1", os.environ)
        self._events.emit(
            "daemon.ready",
            f"emberd {__version__} serves {self._paths.socket}",
            pid=os.getpid(),
            socket=self._paths.socket,
        )
        self._spawn(self._plugins.started())
        if self._settings.daemon.preload:
            self._spawn(self._preload())
        try:
            await self._stop.wait()
            notify_systemd("STOPPING=1", os.environ)
            await self._drain()
        finally:
            await self._closing.aclose()
        self._events.emit("daemon.stopped", "emberd has stopped")

    async def flush(self) -> None:
        """Return when every tier has what was computed so far."""
        await self._cache.flush()

    def request_stop(self, reason: str) -> None:
        """Begin to drain; a second request ends the process at once."""
        if self._stop.is_set():
            self._events.emit("daemon.killed", "asked a second time: leaving at once")
            os._exit(1)  # nothing is lost: what was acknowledged is on the disk
        self._events.emit("daemon.stopping", f"stopping: {reason}")
        self._service.is_draining = True
        self._stop.set()

    async def _start(self) -> None:
        paths, settings = self._paths, self._settings
        self._logger.addHandler(self._logs)
        self._closing.callback(self._logger.removeHandler, self._logs)
        paths.check_socket_length()
        for folder in (paths.runtime, paths.data):
            ensure_private_folder(folder)
        for file in (paths.runtime_lock, paths.data_lock):
            self._closing.callback(FolderLock(file).release)
        self._closing.push_async_callback(self._plugins.close)
        await self._plugins.start()
        self._engine = Engine(settings.engine, log=self._events)
        await self._engine.start()
        self._closing.push_async_callback(self._engine.close)
        self._cache = Cache(settings.cache, self._plugins.tiers, notify=self._noted)
        await self._cache.start()
        self._closing.push_async_callback(self._cache.close)
        self._embedders = Embedders(
            self._plugins.embedders, self._events, queue_texts=settings.engine.queue_texts
        )
        self._closing.push_async_callback(self._embedders.close)
        self._registry = ModelRegistry(
            ModelStore(paths.models),
            self._engine,
            settings.models,
            settings.cache.dtype,
            self._events,
            self._embedders,
        )
        self._closing.push_async_callback(self._registry.close)
        await self._registry.ask_plugins(settings.plugins.start_s)
        self._collections = Collections(paths.collections, settings.index, self._noted)
        await self._collections.open()
        self._closing.push_async_callback(self._collections.close)
        self._make_service()
        await self._listen()
        await self._open_gateway()

    def _noted(self, level: str, event: str, message: str) -> None:
        levels: dict[str, Literal["info", "error"]] = {"info": "info", "error": "error"}
        self._events.emit(event, message, level=levels.get(level, "warning"))

    def _make_service(self) -> None:
        settings = self._settings
        self._sessions = Sessions(
            settings.limits,
            self._statistics,
            self._events,
            stays_awake=settings.daemon.stay_awake,
        )
        kept = settings.cache.top_texts
        top_texts = TopTextCounts(kept) if kept else None
        embedding = self._make_embedding(top_texts)
        collections = CollectionService(
            self._collections, embedding, self._registry, settings.limits, self._events
        )
        self._closing.push_async_callback(collections.close)
        self._snapshots = self._make_snapshots(collections)
        self._service = Service(
            settings,
            engine=self._engine,
            cache=self._cache,
            registry=self._registry,
            embedding=embedding,
            collections=collections,
            direct=DirectReads(
                settings.cache, self._cache, self._registry, embedding, self._statistics
            ),
            snapshots=self._snapshots,
            plugins=self._plugins,
            requests=self._requests,
            logs=self._logs,
            top_texts=top_texts,
            shut_down=self._request_stop_soon,
        )
        self._sessions.serve(
            self._service,
            self._snapshots.forget,
            self._requests,
            self._observation.of_requests,
        )
        self._monitor.start()
        self._closing.callback(self._monitor.stop)
        self._snapshots.start()
        self._closing.callback(self._snapshots.stop)

    def _make_embedding(self, top_texts: TopTextCounts | None) -> EmbeddingService:
        settings, limiters = self._settings, self._plugins.limiters
        return EmbeddingService(
            self._registry,
            self._cache,
            Computations(self._engine, self._cache, self._statistics),
            self._statistics,
            settings.limits,
            frozenset({"default", *settings.cache.namespaces}),
            Admission(limiters) if limiters else None,
            fallbacks=Fallbacks(self._registry, self._events),
            top_texts=top_texts,
        )

    def _make_snapshots(self, collections: CollectionService) -> Snapshots:
        limits = LimitReader(self._plugins.limiters)
        self._closing.callback(limits.close)
        builder = SnapshotBuilder(
            engine=self._engine,
            cache=self._cache,
            registry=self._registry,
            statistics=self._statistics,
            collections=collections,
            events=self._events,
            plugins=self._plugins,
            socket=str(self._paths.socket),
            take_lag_ms=self._monitor.take_ms,
            gpu=self._watch_gpu(),
            limits=limits,
        )
        return Snapshots(
            builder,
            self._sessions.callers,
            lambda: (self._stop.is_set(), self._plugins.problems()),
            on_tick=self._observe(),
            is_always_watched=bool(self._plugins.exporters),
        )

    def _watch_gpu(self) -> GpuWatch | None:
        device = self._engine.device
        if device.kind != "cuda":
            return None
        return GpuWatch(GpuReader(device.name, device.pci_bus_id).read)

    def _observe(self) -> Callable[[Snapshot], None]:
        """Tell the plugins what happens; gives who is to be told of snapshots."""
        self._observation = Observation(
            self._plugins.observers, self._plugins.exporters, self._requests.numbers
        )
        self._closing.push_async_callback(self._observation.close)
        if (observation := self._observation.of_requests) is not None:
            self._engine.tell_batches(observation.batch)
            self._embedders.tell_batches(observation.batch)
        return self._observation.export

    async def _listen(self) -> None:
        inherited = inherited_socket(os.environ)
        sock = inherited or bind_unix(self._paths.socket)
        if inherited is None:
            self._closing.callback(remove_socket, self._paths.socket)
        await self._serve_on(sock, "unix")
        if (tcp := bind_tcp(self._settings.tcp)) is not None:
            await self._serve_on(tcp, "tcp")

    async def _open_gateway(self) -> None:
        if not self._settings.http.port:
            return
        from emberd.server.http import Gateway  # noqa: PLC0415 - aiohttp: 150 ms, if asked for

        self._gateway = Gateway(
            self._settings.http,
            self._settings.limits,
            service=self._service,
            statistics=self._statistics,
            make_caller=self._sessions.make_caller,
            release_caller=self._sessions.release_caller,
            latest_snapshot=self._snapshots.look,
            events=self._events,
            requests=self._requests,
            observation=self._observation.of_requests,
        )
        await self._gateway.start()
        self._closing.push_async_callback(self._gateway.close)
        self._events.emit("http.ready", f"the HTTP gateway answers on {self._gateway.address}")

    async def _serve_on(self, sock: socket.socket, transport: Any) -> None:
        loop = asyncio.get_running_loop()

        def make_session() -> Session:
            return self._sessions.make(transport)

        create = loop.create_unix_server if transport == "unix" else loop.create_server
        server = await create(make_session, sock=sock)
        self._servers.append(server)
        self._closing.callback(server.close)

    async def _preload(self) -> None:
        """Load the default model if it is here; fetching waits until somebody asks."""
        name = self._registry.default_name
        if not await self._registry.is_here(name):
            self._events.emit(
                "model.absent",
                f"{name} is not in the store yet; it is fetched when first asked for",
                level="warning",
            )
            return
        with contextlib.suppress(EmberdError):  # told by the registry's own event
            await self._registry.ensure(None)
        # What is here now stays: a full collection that walked it would hold the loop for 80 ms.
        gc.freeze()

    async def _drain(self) -> None:
        """Take no new connections, finish what is open, then hang up."""
        for server in self._servers:
            server.close()
        drain_s = self._settings.daemon.drain_s
        drains = [self._sessions.drain(drain_s), self._plugins.stopping()]
        if self._gateway is not None:
            drains.append(self._gateway.drain(drain_s))
        await asyncio.gather(*drains)

    def _handle_signals(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # in a test's process, where they are not ours
        loop = asyncio.get_running_loop()
        for number in _TERMINATION:
            loop.add_signal_handler(
                number, self.request_stop, f"signal {signal.Signals(number).name}"
            )

    def _request_stop_soon(self, reason: str) -> None:
        # After the reply has been handed to the socket.
        if not self._stop.is_set():
            asyncio.get_running_loop().call_soon(self.request_stop, reason)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._closing.callback(task.cancel)
