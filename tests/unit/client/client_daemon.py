"""A small real daemon for the client's tests: a thread with an event loop, a Unix or TCP socket,
and `emberd.wire.ServerConnection`. Tests script its methods and see what it was asked."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket as sockets
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from emberd.errors import EmberdError, InvalidParamsError, MethodNotFoundError, UnauthenticatedError
from emberd.wire import CANCEL, HELLO, Malformed, Notification, Request, ServerConnection
from emberd.wire.snapshot import DaemonStats, Snapshot
from emberd.wire.vectors import encode_vectors

T = TypeVar("T")
Handler = Callable[[dict[str, Any]], Any | Awaitable[Any]]

DIM = 8
WAIT_S = 30.0


def vector_of(text: str) -> NDArray[np.float32]:
    """What the test daemon's model makes of a text: (DIM,) float32 of norm 1."""
    digest = hashlib.blake2b(text.encode(), digest_size=DIM).digest()
    vector = np.frombuffer(digest, np.uint8).astype(np.float32) - 127.5
    return vector / np.float32(np.linalg.norm(vector))


def vectors_of_texts(texts: list[str]) -> NDArray[np.float32]:
    return np.array([vector_of(text) for text in texts], np.float32).reshape(len(texts), DIM)


class Gate:
    """An event that the test's thread opens and handlers wait for."""

    def __init__(self, daemon: TestDaemon) -> None:
        self._daemon = daemon
        self._event = asyncio.Event()

    def open(self) -> None:
        self._daemon.loop.call_soon_threadsafe(self._event.set)

    async def wait(self) -> None:
        await self._event.wait()


class TestDaemon:
    """Serves at `address` from `start` to `stop`; may be started again."""

    __test__ = False

    def __init__(self, folder: Path, *, tcp_token: str = "") -> None:
        self.path = folder / "d.sock"
        self.tcp_token = tcp_token
        self.limits: dict[str, Any] = {}
        self.handlers: dict[str, Handler] = {"embed": self.embed, "ping": lambda params: "pong"}
        self.errors_as_maps = True
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.hellos: list[dict[str, Any]] = []
        self.cancelled: list[int] = []
        self.connections = 0
        self.port = 0
        self.jobs: set[asyncio.Task[None]] = set()
        self._changed = threading.Condition()
        self._sessions: set[_Session] = set()

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}" if self.tcp_token else str(self.path)

    def start(self) -> TestDaemon:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="test daemon")
        self._started: Future[None] = Future()
        self._thread.start()
        self._started.result(WAIT_S)
        return self

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()

    def run(self, job: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the daemon's loop."""
        return asyncio.run_coroutine_threadsafe(job, self.loop).result(WAIT_S)

    def drop_connections(self) -> None:
        async def drop() -> None:
            for session in list(self._sessions):
                session.transport.abort()

        self.run(drop())

    def stop_reading(self) -> None:
        """Act like a daemon that is over its limits."""

        async def pause() -> None:
            for session in self._sessions:
                session.transport.pause_reading()

        self.run(pause())

    def resume_reading(self) -> None:
        async def resume() -> None:
            for session in self._sessions:
                session.transport.resume_reading()

        self.run(resume())

    def push(self, *snapshots: Snapshot) -> None:
        """Send `stats` notifications to every connection, in one write."""

        async def send() -> None:
            for session in self._sessions:
                connection = session.connection
                session.transport.write(
                    b"".join(connection.notification("stats", each) for each in snapshots)
                )

        self.run(send())

    def say_last_words(self, error: EmberdError) -> None:
        async def send() -> None:
            for session in self._sessions:
                session.transport.write(session.connection.farewell(error))
                session.transport.close()

        self.run(send())

    def gate(self) -> Gate:
        return Gate(self)

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Wait until the daemon has seen something; bounded."""
        with self._changed:
            assert self._changed.wait_for(is_so, WAIT_S)

    def wait_asked(self, method: str, count: int = 1) -> None:
        self.wait_until(lambda: [name for name, _ in self.asked].count(method) >= count)

    def note(self, change: Callable[[], object]) -> None:
        with self._changed:
            change()
            self._changed.notify_all()

    def embed(self, params: dict[str, Any]) -> dict[str, Any]:
        texts = params["texts"]
        for index, text in enumerate(texts):
            if text == "poison" and not params.get("partial"):
                raise InvalidParamsError(
                    f"texts[{index}]: poison.",
                    details={"field": f"texts[{index}]", "index": index},
                )
        poisoned = [index for index, text in enumerate(texts) if text == "poison"]
        vectors = vectors_of_texts(texts)
        vectors[poisoned] = 0
        return {
            "model": params.get("model") or "test-model",
            "fingerprint": "f" * 32,
            "dim": DIM,
            "count": len(texts),
            "vectors": encode_vectors(vectors, params.get("dtype", "f32")),
            "hits": {"memory": sum(text.startswith("hit") for text in texts)},
            "computed": sum(not text.startswith("hit") for text in texts),
            "deduplicated": 0,
            "tokens": len(texts),
            "truncated": [index for index, text in enumerate(texts) if text.startswith("long")],
            "errors": [
                {"index": index, "code": "EMBEDDING_FAILED", "message": f"texts[{index}]: poison."}
                for index in poisoned
            ],
        }

    def hello(self, params: dict[str, Any]) -> dict[str, Any]:
        return {
            "protocol": 1,
            "server": {"name": "emberd", "version": "0.0.1", "pid": os.getpid()},
            "limits": self.limits,
            "models": {"test-model": {"fingerprint": "f" * 32, "dim": DIM, "max_tokens": 16}},
            "default_model": "test-model",
            "namespace": params.get("namespace", "default"),
        }

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self._main())
        finally:
            self.loop.close()

    async def _main(self) -> None:
        self._stopping = asyncio.Event()
        server = await self._listen()
        self._started.set_result(None)
        await self._stopping.wait()
        server.close()
        for session in list(self._sessions):
            session.transport.abort()
        for job in self.jobs:
            job.cancel()
        await asyncio.gather(*self.jobs, return_exceptions=True)
        await asyncio.sleep(0)  # connection_lost of what was aborted
        self.path.unlink(missing_ok=True)

    async def _listen(self) -> asyncio.AbstractServer:
        if not self.tcp_token:
            return await self.loop.create_unix_server(lambda: _Session(self), str(self.path))
        server = await self.loop.create_server(lambda: _Session(self), "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    def add(self, session: _Session) -> None:
        self._sessions.add(session)
        self.note(lambda: setattr(self, "connections", self.connections + 1))

    def remove(self, session: _Session) -> None:
        self._sessions.discard(session)
        self.note(lambda: None)

    @property
    def open_connections(self) -> int:
        return len(self._sessions)


class _Session(asyncio.Protocol):
    def __init__(self, daemon: TestDaemon) -> None:
        self.daemon = daemon
        self.connection = ServerConnection(demands_hello=bool(daemon.tcp_token))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.daemon.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.daemon.remove(self)

    def pause_writing(self) -> None:
        self.transport.pause_reading()  # as the daemon does: no new work from a slow reader

    def resume_writing(self) -> None:
        self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        for event in self.connection.receive(data):
            if isinstance(event, Malformed):
                self.transport.write(self.connection.refusal(event))
                if event.is_fatal:
                    self.transport.close()
            elif isinstance(event, Notification):
                if event.method == CANCEL:
                    self.daemon.note(lambda e=event: self.daemon.cancelled.append(e.params[0]))
            else:
                self._request(event)

    def _request(self, request: Request) -> None:
        params = request.params[0] if request.params else {}
        if request.method == HELLO:
            self.daemon.hellos.append(params)
        else:
            self.daemon.note(lambda: self.daemon.asked.append((request.method, params)))
        try:
            result = self._result(request.method, params)
        except EmberdError as exc:
            self.transport.write(self.connection.error_response(request.msgid, exc))
            return
        if asyncio.iscoroutine(result):
            job = self.daemon.loop.create_task(self._answer(request, result))
            self.daemon.jobs.add(job)
            job.add_done_callback(self.daemon.jobs.discard)
        else:
            self.transport.write(self.connection.response(request.msgid, result))

    def _result(self, method: str, params: dict[str, Any]) -> Any:
        if method == HELLO:
            if self.daemon.tcp_token and params.get("token") != self.daemon.tcp_token:
                raise UnauthenticatedError("The token is wrong.")
            result = self.daemon.hello(params)
            self.connection.greet(errors_as_maps=self.daemon.errors_as_maps)
            return result
        handler = self.daemon.handlers.get(method)
        if handler is None:
            raise MethodNotFoundError(f"No method {method!r}.")
        return handler(params)

    async def _answer(self, request: Request, result: Awaitable[Any]) -> None:
        try:
            data = self.connection.response(request.msgid, await result)
        except EmberdError as exc:
            data = self.connection.error_response(request.msgid, exc)
        self.transport.write(data)


def snapshot(sequence: int) -> Snapshot:
    return Snapshot(daemon=DaemonStats(version="0.0.1", pid=1), sequence=sequence)


def deaf_listener(path: Path) -> sockets.socket:
    """A socket that takes connections and never answers."""
    sock = sockets.socket(sockets.AF_UNIX)
    sock.bind(str(path))
    sock.listen(8)
    return sock
