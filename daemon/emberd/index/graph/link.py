"""The daemon's end of a worker: its process, its socket, and the calls that wait."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from itertools import count
from typing import IO, Any

from numpy.typing import NDArray

from emberd.errors import EmberdError, GraphLostError, error_from_wire
from emberd.index.graph.frames import Frame, FrameDecoder, FrameError, encode_frame

__all__ = ["WorkerLink"]

_SOCKET_BYTES = 1 << 20  # a chunk of vectors leaves in one write
_REAP_S = 5.0
_LAST_WORDS_BYTES = 2_000

Notice = Callable[[Mapping[str, Any]], None]


class WorkerLink(asyncio.Protocol):
    """One worker from its start to its end. The event loop owns it."""

    def __init__(self, on_notice: Notice, on_lost: Callable[[WorkerLink], None]) -> None:
        """`on_notice(fields)` for each notice; `on_lost(self)` once, when the worker is gone."""
        self._on_notice = on_notice
        self._on_lost = on_lost
        self._decoder = FrameDecoder()
        self._numbers = count(1)
        self._calls: dict[int, asyncio.Future[Frame]] = {}
        self._transport: asyncio.Transport | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._words: IO[bytes] | None = None
        self._ending: asyncio.Task[str] | None = None
        self.is_lost = False

    async def start(self) -> None:
        """Start the process. Raises GraphLostError."""
        ours, theirs = socket.socketpair()
        try:
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BYTES)
            # Where a crash leaves its last words; a pipe would need a reader.
            self._words = await asyncio.to_thread(tempfile.TemporaryFile)
            self._process = await asyncio.to_thread(_spawn, theirs, self._words)
            loop = asyncio.get_running_loop()
            self._transport, _ = await loop.create_connection(lambda: self, sock=ours)
        except OSError as exc:
            ours.close()
            if self._process is None and self._words is not None:
                self._words.close()
            raise GraphLostError(
                f"The graph's process cannot be started: {exc}. Search is exact meanwhile."
            ) from exc
        finally:
            theirs.close()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def call(
        self, kind: str, fields: dict[str, Any] | None = None, arrays: tuple[NDArray[Any], ...] = ()
    ) -> asyncio.Future[Frame]:
        """Send a request. The future fails with what the worker says, or GraphLostError."""
        future: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        if self.is_lost or self._transport is None:
            future.set_exception(_lost())
            return future
        number = next(self._numbers)
        self._calls[number] = future
        self._transport.writelines(encode_frame(Frame(kind, number, fields or {}, arrays)))
        return future

    async def end(self) -> str:
        """Close the socket and see the process off; returns how it ended, for people."""
        if self._transport is not None:
            self._transport.abort()
        if self._process is None:
            return "there was none"
        if self._ending is None:
            self._ending = asyncio.create_task(
                asyncio.to_thread(_see_off, self._process, self._words)
            )
        return await asyncio.shield(self._ending)

    def data_received(self, data: bytes) -> None:
        try:
            frames = self._decoder.feed(data)
        except FrameError:
            self._kill()
            return
        for frame in frames:
            self._take(frame)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.is_lost = True
        calls, self._calls = self._calls, {}
        for future in calls.values():
            if not future.done():
                future.set_exception(_lost())
        self._on_lost(self)

    def _take(self, frame: Frame) -> None:
        if frame.kind == "notice":
            self._on_notice(frame.fields)
            return
        future = self._calls.pop(frame.call, None)
        if future is None or future.done():  # who asked has gone away
            return
        if frame.kind == "failed":
            future.set_exception(error_from_wire(frame.fields))
        else:
            future.set_result(frame)

    def _kill(self) -> None:
        if self._transport is not None:
            self._transport.abort()
        if self._process is not None:
            self._process.kill()


def _spawn(theirs: socket.socket, words: IO[bytes]) -> subprocess.Popen[bytes]:
    # Threads of numpy's own would be in the way of forking.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-X", "faulthandler", "-m", "emberd.index.graph.worker"]
    return subprocess.Popen(
        [*command, str(theirs.fileno())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=words,
        pass_fds=(theirs.fileno(),),
        start_new_session=True,  # the terminal's signals are the daemon's to handle
        env=environment,
    )


def _see_off(process: subprocess.Popen[bytes], words: IO[bytes] | None) -> str:
    try:
        code = process.wait(_REAP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    said = _last_words(words) if words else ""
    return _ending(code) + (f": {said}" if said else "")


def _last_words(words: IO[bytes]) -> str:
    with words:
        size = words.seek(0, os.SEEK_END)
        words.seek(max(0, size - _LAST_WORDS_BYTES))
        lines = words.read().decode(errors="replace").split("\n")
    return " ".join(line.strip() for line in lines if line.strip())


def _ending(code: int) -> str:
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process ended with code {code}"


def _lost() -> EmberdError:
    return GraphLostError(
        "The graph's process is gone; it is started again. Search is exact meanwhile."
    )
