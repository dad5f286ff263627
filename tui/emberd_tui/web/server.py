"""textual-serve, for this machine alone: its page and its websocket behind a guard.

textual-serve itself looks at neither Host nor Origin, and its page loads a font from the internet;
so the routes, the page and the end are ours. Each visitor gets a dashboard process.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shlex
import signal
import socket
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from string import Template

import psutil
import textual_serve
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from textual_serve.server import Server

from emberd.errors import StorageError
from emberd_tui.web.guard import refusal

__all__ = ["serve_command"]

_HOST = "127.0.0.1"
_END_S = 5.0
_HANG_UP_S = 1.0
_POLL_S = 0.05
_STATIC = Path(textual_serve.__file__).parent / "static"
# The scripts of textual-serve make style elements; nothing comes from elsewhere, nor shows this.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; "
    "img-src data:; connect-src 'self' ws://{host}; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'"
)


def serve_command(command: Sequence[str], port: int, tell: Callable[[str], None]) -> None:
    """Serve a Textual program until SIGINT or SIGTERM; `tell` is called with the URL.

    Raises StorageError where the port cannot be had.
    """
    with _listening(port) as listener:
        asyncio.run(_serve(command, listener, tell))


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server((_HOST, port))
    except (OSError, OverflowError) as exc:
        raise StorageError(
            f"Cannot listen on {_HOST}:{port}: {getattr(exc, 'strerror', None) or exc}. Choose "
            "another --web-port (0 takes a free one), or stop the program that has it.",
            details={"port": port},
        ) from exc


async def _serve(
    command: Sequence[str], listener: socket.socket, tell: Callable[[str], None]
) -> None:
    port = listener.getsockname()[1]
    runner = web.AppRunner(
        _application(command, port), access_log=None, shutdown_timeout=_HANG_UP_S
    )
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        tell(f"http://{_HOST}:{port}")
        await _told_to_end()
    finally:
        await runner.cleanup()


def _application(command: Sequence[str], port: int) -> web.Application:
    # Ctrl-C reaches every process of the terminal, but ending the children is this one's affair.
    server = Server(f"trap '' INT; exec {shlex.join(command)}", _HOST, port)
    application = web.Application(middlewares=[_guard(port)])
    application.router.add_get("/", _page)
    application.router.add_get("/page.js", _script)
    application.router.add_get("/ws", server.handle_websocket)
    application.router.add_static("/static", _STATIC)
    application.on_shutdown.append(_end_children)
    return application


def _guard(port: int) -> Middleware:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        why = refusal(request.headers.get("Host", ""), request.headers.get("Origin"), port)
        if why:
            return web.Response(status=403, text=f"{why}\n")
        return await handler(request)

    return guard


async def _page(request: web.Request) -> web.Response:
    return web.Response(
        text=Template(_text("page.html")).substitute(host=request.host),
        content_type="text/html",
        headers={
            "Content-Security-Policy": _POLICY.format(host=request.host),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )


async def _script(_: web.Request) -> web.Response:
    return web.Response(text=_text("page.js"), content_type="text/javascript")


def _text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")


async def _told_to_end() -> None:
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    await told.wait()


async def _end_children(_: web.Application) -> None:
    """End the visitors' dashboards; kill what does not end. The loop reaps them meanwhile."""
    logging.getLogger("textual-serve").disabled = True  # it calls one that is just starting failed
    children = psutil.Process().children()
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.terminate()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_END_S):
            while any(child.is_running() for child in children):  # noqa: ASYNC110 - sets no event
                await asyncio.sleep(_POLL_S)
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
