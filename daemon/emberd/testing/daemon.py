"""The real daemon on a thread of the test's process, with a hash in place of a model."""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from emberd.client import Client
from emberd.config import Settings, settings_from
from emberd.paths import Paths
from emberd.plugins.loader import Found, installed
from emberd.server.daemon import Daemon
from emberd.server.ready import ReadyPipe
from emberd.testing.deterministic import DeterministicEmbedder, DeterministicPlugin

__all__ = ["InProcessDaemon"]

_STOP_S = 30.0

# Small, quiet and the same on every machine.
_SETTINGS: dict[str, Any] = {
    "daemon": {"preload": False, "drain_s": 2},
    "models": {"allow_download": False},
    "engine": {"device": "cpu", "threads": 1, "background_priority": False},
    "cache": {"memory_mib": 16, "disk_mib": 16, "commit_ms": 10},
}


class InProcessDaemon:
    """Server, sessions, cache and plugins are the real ones; folders and socket are its own.

    `plugins` are objects by name; `settings` is laid over settings that suit tests. Of the
    installed plugins only those take part that have a section `[plugin.NAME]`. A stopped one may
    be started again, on the same folders.
    """

    def __init__(
        self,
        *,
        plugins: Mapping[str, object] | None = None,
        settings: Mapping[str, Any] | None = None,
        embedder: DeterministicEmbedder | None = None,
        home: Path | None = None,
    ) -> None:
        """Without `home` it makes a folder, which `close` removes."""
        self.embedder = embedder or DeterministicEmbedder()
        self._settings = _settings(settings or {}, self.embedder.name)
        self._plugins = {**(plugins or {}), self.embedder.name: DeterministicPlugin(self.embedder)}
        self._is_own_home = home is None
        # A socket's path holds some 100 bytes: pytest's own folders can be too long.
        self.home = home or Path(tempfile.mkdtemp(prefix="emberd"))
        self.paths = Paths.from_environment({"EMBERD_HOME": str(self.home)})
        self._thread: threading.Thread | None = None
        self._daemon: Daemon | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: Future[None] = Future()
        self._clients: list[Client] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def socket(self) -> str:
        """The path that clients connect to."""
        return str(self.paths.socket)

    def start(self) -> None:
        """Return when the socket answers and the plugins have been told. Raises what the daemon
        raises where it does not start."""
        self._ended = Future()
        ready = _Ready()
        self._thread = threading.Thread(
            target=self._run, args=(ready, self._ended), name="emberd-daemon", daemon=True
        )
        self._thread.start()
        self._ended.add_done_callback(ready.ended)
        try:
            ready.wait()
        except BaseException:
            self._thread = None  # it has ended: nothing is left to stop
            raise

    def stop(self) -> None:
        """Drain and close as on SIGTERM. Raises what the daemon raised. Idempotent."""
        while self._clients:
            self._clients.pop().close()
        if self._thread is None:
            return
        if self._loop is not None and not self._ended.done():
            self._loop.call_soon_threadsafe(self._request_stop)
        thread, self._thread = self._thread, None
        thread.join(_STOP_S)
        if thread.is_alive():
            raise TimeoutError(f"The daemon has not stopped within {_STOP_S:g} s.")
        self._ended.result()

    def flush(self) -> None:
        """Return when every tier has the vectors that were computed so far: a reply does not wait
        for that."""
        assert self._loop is not None and self._daemon is not None  # noqa: S101, PT018 - started
        asyncio.run_coroutine_threadsafe(self._daemon.flush(), self._loop).result(_STOP_S)

    def restart(self) -> None:
        """Stop and start: what was in memory is gone, what was on the disk is there."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop it, and remove the folder that it made. Idempotent."""
        try:
            self.stop()
        finally:
            if self._is_own_home:
                shutil.rmtree(self.home, ignore_errors=True)

    def client(self, **options: Any) -> Client:
        """A client of this daemon; `stop` closes it, too."""
        client = Client(self.socket, autostart=False, **options)
        self._clients.append(client)
        return client

    def _run(self, ready: _Ready, ended: Future[None]) -> None:
        try:
            asyncio.run(self._serve(ready))
        except BaseException as exc:
            ended.set_exception(exc)
        else:
            ended.set_result(None)

    async def _serve(self, ready: _Ready) -> None:
        self._loop = asyncio.get_running_loop()
        self._daemon = Daemon(
            self._settings, self.paths, logging.getLogger("emberd"), self._found()
        )
        await self._daemon.start()
        await self._daemon.serve(ready)

    def _request_stop(self) -> None:
        # A second request would end the process, and a client may have asked already.
        if self._daemon is not None and not self._daemon.is_stopping:
            self._daemon.request_stop("the test is over")

    def _found(self) -> list[Found]:
        given = [
            Found(name, lambda plugin=plugin: plugin, source="the test")  # type: ignore[misc]
            for name, plugin in self._plugins.items()
        ]
        wanted = set(self._settings.plugin) - set(self._plugins)
        return [*(found for found in installed() if found.name in wanted), *given]


class _Ready(ReadyPipe):
    """Waits for what the daemon would write to its starter's pipe."""

    def __init__(self) -> None:
        super().__init__(None)
        self._answer: Future[None] = Future()

    def ready(self, socket_path: str) -> None:
        self._answer.set_result(None)

    def ended(self, end: Future[None]) -> None:
        """The daemon is no more: what waits for it to be ready hears why."""
        if not self._answer.done():
            error = end.exception() or RuntimeError("The daemon ended before it was ready.")
            self._answer.set_exception(error)

    def wait(self) -> None:
        self._answer.result()


def _settings(given: Mapping[str, Any], model: str) -> Settings:
    values = _merged(_SETTINGS, {"models": {"default": model}})
    return settings_from(_merged(values, given), "settings")


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(below)
    for key, value in above.items():
        old = values.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            values[key] = _merged(old, value)
        else:
            values[key] = value
    return values
