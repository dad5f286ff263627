"""A small embedding server on loopback that can be told to misbehave."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from emberd.testing.deterministic import vector_of

__all__ = ["BAD", "DIM", "Seen", "UpstreamServer", "answer_of", "refuse", "text_vector"]

DIM = 16
BAD = "poison"
"""A text with this word in it is refused, and with it every batch that it is in."""
_LONGEST = 100_000

Fault = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]


def text_vector(text: str) -> list[float]:
    """What the server computes."""
    return [float(number) for number in vector_of(text, DIM)]


@dataclass(frozen=True)
class Seen:
    """A request that came."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    texts: list[str]


@dataclass
class UpstreamServer:
    """Speaks all three dialects; `faults` are taken one a request, then it works."""

    takes_base64: bool = True
    faults: deque[Fault] = field(default_factory=deque)
    seen: list[Seen] = field(default_factory=list)
    port: int = 0
    tls: ssl.SSLContext | None = None

    def start(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._is_ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._is_ready.wait(10)

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    @property
    def texts(self) -> list[str]:
        """Every text that it was sent, in order."""
        return [text for seen in self.seen for text in seen.texts]

    async def hang(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        """A fault: no answer as long as the server runs."""
        await self._stopping.wait()
        return web.Response(status=500)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stopping = asyncio.Event()
        app = web.Application(client_max_size=8 << 20)
        app.router.add_post("/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port, ssl_context=self.tls)
        await site.start()
        self.port = runner.addresses[0][1]
        self._is_ready.set()
        await self._stopping.wait()
        await runner.cleanup()
        for _ in range(10):  # connections that were closed just now close in the next turns
            await asyncio.sleep(0)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        texts = body.get("input", body.get("inputs"))
        self.seen.append(Seen(request.path, dict(request.headers), body, texts))
        if self.faults:
            return await self.faults.popleft()(request, body)
        if any(len(text) > _LONGEST for text in texts):
            return web.json_response({"error": {"message": "the input is too long"}}, status=413)
        if any(BAD in text for text in texts):
            return web.json_response({"error": {"message": "I refuse"}}, status=400)
        if "encoding_format" in body and not self.takes_base64:
            return web.json_response({"detail": "unknown encoding_format"}, status=422)
        return web.json_response(
            answer_of(request.path, body), headers={"x-compute-tokens": str(2 * len(texts))}
        )


def answer_of(path: str, body: dict[str, Any], change: Callable[[Any], Any] = list) -> Any:
    """The right answer in the path's dialect; `change` is done to the list of its rows."""
    texts = body.get("input", body.get("inputs"))
    rows = change([text_vector(text) for text in texts])
    if path.endswith("/api/embed"):
        return {"embeddings": rows, "prompt_eval_count": 2 * len(texts)}
    if path.endswith("/embed"):
        return rows
    if body.get("encoding_format") == "base64":
        rows = [_base64(row) for row in rows]
    data = [{"embedding": row, "index": index} for index, row in enumerate(rows)]
    # Some servers answer in another order; `index` is what counts.
    return {"data": data[::-1], "usage": {"prompt_tokens": 2 * len(texts)}}


def refuse(status: int, message: str = "no", **headers: str) -> Fault:
    """A fault: this status; `Retry_After="1"` is a header."""

    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.json_response({"error": {"message": message}}, status=status, headers=named)

    return answer


def _base64(row: list[float]) -> str:
    import numpy as np

    return base64.b64encode(np.array(row, "<f4").tobytes()).decode()
