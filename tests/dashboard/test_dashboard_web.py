"""`emberd top --web`: a real server, and clients that do what a browser does (or a bad page)."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import psutil
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSServerHandshakeError

from emberd.errors import InvalidRequestError
from emberd_tui.web import serve
from emberd_tui.web.guard import refusal

COMMAND = [sys.executable, "-m", "emberd", "top", "--web", "--demo", "--interval", "0.2"]


@asynccontextmanager
async def browser(url: str, width: int = 120) -> AsyncIterator[ClientWebSocketResponse]:
    """The websocket that the page opens."""
    async with (
        ClientSession() as session,
        session.ws_connect(f"{url}/ws?width={width}&height=30", origin=url) as socket,
    ):
        yield socket


async def shown(socket: ClientWebSocketResponse, text: str) -> None:
    """Return once this text has been written to the terminal in the browser."""
    written = ""
    async with asyncio.timeout(30):
        while text not in written:
            written += (await socket.receive_bytes()).decode("utf-8", "replace")


def start(*options: str) -> subprocess.Popen[str]:
    return subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, text=True)


def url_of(server: subprocess.Popen[str]) -> str:
    assert server.stdout is not None
    url: str = json.loads(server.stdout.readline())["url"]
    return url


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def wait_for_the_end_of(processes: list[psutil.Process]) -> None:
    deadline = time.monotonic() + 30
    while any(map(is_alive, processes)) and time.monotonic() < deadline:
        time.sleep(0.05)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with start("--web-port", "0", "--json") as server:
        try:
            yield url_of(server)
        finally:
            server.terminate()


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "LocalHost:8765"])
def test_this_machines_own_names_are_let_in(host: str) -> None:
    assert not refusal(host, None, 8765)
    assert not refusal(host, f"http://{host.lower()}", 8765)


def test_a_browser_leaves_port_80_out() -> None:
    assert not refusal("localhost", "http://localhost", 80)
    assert refusal("localhost", None, 8765)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("", None),
        ("rebound.example:8765", None),
        ("rebound.example:8765", "http://rebound.example:8765"),
        ("127.0.0.1:9999", None),
        ("127.0.0.1.rebound.example:8765", None),
        ("127.0.0.1:8765", "http://elsewhere.example"),
        ("127.0.0.1:8765", "https://127.0.0.1:8765"),
        ("127.0.0.1:8765", "http://127.0.0.1:9999"),
        ("127.0.0.1:8765", "null"),
        ("127.0.0.1:8765", ""),
    ],
)
def test_other_hosts_and_origins_are_refused(host: str, origin: str | None) -> None:
    assert refusal(host, origin, 8765)


@pytest.mark.parametrize(
    "headers", [{"Host": "rebound.example"}, {"Origin": "http://elsewhere.example"}]
)
async def test_the_server_refuses_them_on_every_path(url: str, headers: dict[str, str]) -> None:
    async with ClientSession(headers=headers) as session:
        for path in ("/", "/page.js", "/static/js/textual.js", "/nothing"):
            async with session.get(url + path) as answer:
                assert answer.status == 403
        with pytest.raises(WSServerHandshakeError) as refused:
            await session.ws_connect(f"{url}/ws")
        assert refused.value.status == 403


async def test_the_page_loads_from_this_server_alone(url: str) -> None:
    async with ClientSession() as session:
        async with session.get(url) as answer:
            page, policy = await answer.text(), answer.headers["Content-Security-Policy"]
        assert re.findall(r"\w*://[^\"]*", page) == [f"ws://{urlsplit(url).netloc}/ws"]
        assert "default-src 'none'" in policy
        for path in re.findall(r'(?:href|src)="(/[^"]+)"|url\("([^"]+)"\)', page):
            async with session.get(url + "".join(path)) as answer:
                assert answer.status == 200
        async with session.get(f"{url}/static/") as answer:
            assert answer.status == 403  # no listing


async def test_two_browsers_each_have_a_dashboard(url: str) -> None:
    async with browser(url) as one, browser(url, width=160) as other:
        await asyncio.gather(shown(one, "jupyter"), shown(other, "jupyter"))
        await one.send_json(["stdin", "2"])
        await shown(one, "slowest")
        await shown(other, "jupyter")


async def test_what_changes_something_is_refused_in_a_browser(url: str) -> None:
    async with browser(url) as socket:
        await shown(socket, "jupyter")
        for keys in ("3x", "5e"):
            await socket.send_json(["stdin", keys])
            await shown(socket, "read-only")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGKILL, -9)]
)
async def test_it_ends_with_all_its_processes(number: signal.Signals, code: int) -> None:
    with start("--web-port", "0", "--json") as server:
        async with browser(url_of(server)) as socket:
            await shown(socket, "jupyter")
            children = psutil.Process(server.pid).children(recursive=True)
            server.send_signal(number)
            assert await asyncio.to_thread(server.wait, 30) == code
        assert children
        if number == signal.SIGKILL:  # they have to see for themselves that nobody is there
            await asyncio.to_thread(wait_for_the_end_of, children)
        assert not any(map(is_alive, children))


def test_a_port_in_use_is_an_error_that_helps(url: str) -> None:
    port = str(urlsplit(url).port)
    done = subprocess.run(
        [*COMMAND, "--web-port", port], check=False, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr
    assert "--web-port" in done.stderr


def test_without_textual_serve_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "textual_serve", None)
    monkeypatch.delitem(sys.modules, "emberd_tui.web.server", raising=False)
    with pytest.raises(InvalidRequestError, match=re.escape("pip install 'emberd[web]'")):
        serve(tell=print)


def test_people_get_one_line_with_the_url() -> None:
    with start("--web-port", "0") as server:
        assert server.stdout is not None
        assert re.search(r"at http://127\.0\.0\.1:\d+ ", server.stdout.readline())
        server.send_signal(signal.SIGINT)
        assert server.stdout.read() == ""
