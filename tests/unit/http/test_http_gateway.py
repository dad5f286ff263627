from __future__ import annotations

import asyncio
import gzip
import json
import socket
from typing import Any

import aiohttp
import pytest
from http_standin import MODEL, Rig, Starter, make_rig, plain_snapshot

from emberd.config import HttpSettings, LimitSettings
from emberd.errors import InvalidConfigError, ShuttingDownError, StorageError
from emberd.server.http.routes import ROUTES

BODY = json.dumps({"model": MODEL, "input": "hello"}).encode()


async def within(awaitable: Any) -> Any:
    return await asyncio.wait_for(awaitable, 20)


def request_bytes(
    path: str = "/v1/embeddings", body: bytes = BODY, *headers: str, verb: str = "POST"
) -> bytes:
    lines = [
        f"{verb} {path} HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def connect(rig: Rig) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", rig.port)


async def read_reply(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = (await within(reader.readuntil(b"\r\n\r\n"))).decode("latin-1")
    status, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    body = await within(reader.readexactly(int(headers["content-length"])))
    return int(status.split()[1]), headers, body


# Starting


async def test_a_taken_port_is_told_with_what_to_do(start: Starter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(StorageError, match=rf"127\.0\.0\.1:{port}.*Choose another http\.port"):
            await start(HttpSettings(port=port))


async def test_an_address_of_another_machine_is_told() -> None:
    rig = make_rig(HttpSettings(host="192.0.2.1", token="t"))
    with pytest.raises(StorageError, match="Cannot listen"):
        await rig.gateway.start()
    await rig.gateway.close()


def test_a_gateway_open_to_others_without_a_token_is_not_even_built() -> None:
    with pytest.raises(InvalidConfigError, match=r"http\.token"):
        make_rig(HttpSettings(host="0.0.0.0"))


async def test_the_address_is_what_to_type_into_a_client(rig: Rig) -> None:
    assert rig.gateway.address == f"http://127.0.0.1:{rig.port}"
    assert rig.port > 0
    assert make_rig(HttpSettings(host="::1", port=80)).gateway.address == "http://[::1]:80"


# Who is let in


@pytest.mark.parametrize("path", sorted({route.path for route in ROUTES}))
@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}])
async def test_no_path_answers_a_foreign_page(
    rig: Rig, client: aiohttp.ClientSession, path: str, headers: dict[str, str]
) -> None:
    for verb in ("GET", "POST", "OPTIONS", "HEAD"):
        async with client.request(verb, path, headers=headers) as response:
            assert response.status == 403
            assert not [name for name in response.headers if name.startswith("Access-Control")]
    assert rig.service.calls == []
    assert rig.callers == {}


async def test_every_path_wants_the_token_when_there_is_one(start: Starter) -> None:
    rig = await start(HttpSettings(token="s3cret"))
    async with aiohttp.ClientSession(rig.gateway.address) as client:
        for route in ROUTES:
            async with client.request(route.verb, route.path, data=BODY) as response:
                assert response.status == 401
                assert response.headers["WWW-Authenticate"] == "Bearer"
        bearer = {"Authorization": "Bearer s3cret", "Content-Type": "application/json"}
        async with client.post("/v1/embeddings", data=BODY, headers=bearer) as response:
            assert response.status == 200
    assert len(rig.service.calls) == 1


# What is taken


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", None])
@pytest.mark.parametrize("path", ["/v1/embeddings", "/embed"])
async def test_only_json_is_taken(
    client: aiohttp.ClientSession, content_type: str | None, path: str
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    skip = [] if content_type else ["Content-Type"]
    async with client.post(path, data=BODY, headers=headers, skip_auto_headers=skip) as response:
        assert response.status == 415
        assert "application/json" in await response.text()


async def test_json_may_name_its_charset(client: aiohttp.ClientSession) -> None:
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    async with client.post("/v1/embeddings", data=BODY, headers=headers) as response:
        assert response.status == 200


async def test_bad_json_is_a_bad_request(client: aiohttp.ClientSession) -> None:
    headers = {"Content-Type": "application/json"}
    async with client.post("/v1/embeddings", data=b"{", headers=headers) as response:
        assert response.status == 400
        assert "not JSON" in (await response.json())["error"]["message"]


async def test_an_unknown_path_points_to_the_index(client: aiohttp.ClientSession) -> None:
    async with client.get("/v2/embeddings") as response:
        assert response.status == 404
        assert "GET / lists" in (await response.json())["error"]["message"]


async def test_a_wrong_verb_is_told_the_right_one(client: aiohttp.ClientSession) -> None:
    async with client.get("/v1/embeddings") as response:
        assert response.status == 405
        assert response.headers["Allow"] == "POST"


@pytest.fixture
async def small(start: Starter) -> Rig:
    return await start(None, LimitSettings(frame_mib=1))


async def test_a_body_over_the_limit_is_refused_before_it_is_read(small: Rig) -> None:
    reader, writer = await connect(small)
    writer.write(request_bytes().replace(b"Content-Length: ", b"Content-Length: 9999999"))
    status, headers, body = await read_reply(reader)
    assert status == 413
    assert headers["connection"] == "close"
    assert "limits.frame_mib" in json.loads(body)["error"]["message"]
    writer.close()


async def test_a_body_that_turns_out_too_large_is_refused(small: Rig) -> None:
    async def endless() -> Any:
        for _ in range(40):
            yield b"x" * 65_536

    headers = {"Content-Type": "application/json"}
    async with (
        aiohttp.ClientSession(small.gateway.address) as client,
        client.post("/embed", data=endless(), headers=headers) as response,
    ):
        assert response.status == 413
    assert small.service.calls == []


async def test_a_compressed_body_counts_as_what_it_unpacks_to(small: Rig) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    async with aiohttp.ClientSession(small.gateway.address) as client:
        good, bomb = gzip.compress(BODY), gzip.compress(b" " * (64 << 20))
        assert len(bomb) < 1 << 20
        async with client.post("/v1/embeddings", data=good, headers=headers) as response:
            assert response.status == 200
        async with client.post("/v1/embeddings", data=bomb, headers=headers) as response:
            assert response.status == 413


async def test_a_body_that_is_not_what_it_says_is_a_bad_request(rig: Rig) -> None:
    reader, writer = await connect(rig)
    writer.write(request_bytes("/embed", b"not gzip", "Content-Encoding: gzip"))
    assert (await read_reply(reader))[0] == 400
    writer.close()


async def test_a_client_that_waits_to_be_asked_for_its_body_is_asked(rig: Rig) -> None:
    reader, writer = await connect(rig)
    head, _, body = request_bytes("/v1/embeddings", BODY, "Expect: 100-continue").partition(
        b"\r\n\r\n"
    )
    writer.write(head + b"\r\n\r\n")
    assert await within(reader.readuntil(b"\r\n\r\n")) == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(body)
    assert (await read_reply(reader))[0] == 200
    writer.close()


# What is answered


async def test_the_index_lists_every_route(client: aiohttp.ClientSession) -> None:
    async with client.get("/") as response:
        text = await response.text()
        assert response.content_type == "text/plain"
        assert response.headers["Server"] == "emberd"
        assert response.headers["Cache-Control"] == "no-store"
    for route in ROUTES:
        assert any(line.split()[:2] == [route.verb, route.path] for line in text.splitlines())


async def test_head_answers_without_a_body(client: aiohttp.ClientSession) -> None:
    async with client.head("/metrics") as response:
        assert response.status == 200
        assert int(response.headers["Content-Length"]) > 1000
        assert await response.read() == b""


@pytest.mark.parametrize(
    ("daemon", "is_draining", "status", "word"),
    [
        ({}, False, 200, "ok"),
        ({"health": "degraded", "problems": ["the disk is full"]}, False, 503, "degraded"),
        ({"state": "draining"}, False, 503, "draining"),
        ({}, True, 503, "draining"),
    ],
)
async def test_health_says_what_is_wrong(
    rig: Rig,
    client: aiohttp.ClientSession,
    daemon: dict[str, Any],
    is_draining: bool,
    status: int,
    word: str,
) -> None:
    rig.snapshot, rig.service.is_draining = plain_snapshot(**daemon), is_draining
    async with client.get("/health") as response:
        assert response.status == status
        answer = await response.json()
    assert answer["status"] == word
    assert answer["problems"] == daemon.get("problems", [])


async def test_a_large_reply_arrives_whole(client: aiohttp.ClientSession) -> None:
    texts = [f"text {n}" for n in range(600)]
    async with client.post("/embed", json={"inputs": texts}) as response:
        assert int(response.headers["Content-Length"]) > 2_000_000
        assert len(await response.json()) == 600
    async with client.get("/health") as response:  # on the same connection
        assert response.status == 200


async def test_requests_in_a_row_are_answered_in_order_on_one_connection(rig: Rig) -> None:
    reader, writer = await connect(rig)
    writer.write(request_bytes() + request_bytes("/api/version", b"", verb="GET"))
    assert "embedding" in (await read_reply(reader))[2].decode()
    assert "version" in (await read_reply(reader))[2].decode()
    assert len(rig.callers) == 1
    writer.close()


# Who is counted


async def test_a_connection_is_a_caller_named_by_its_agent(
    rig: Rig, client: aiohttp.ClientSession
) -> None:
    for _ in range(3):
        async with client.post("/embed", json={"inputs": "a"}) as response:
            await response.read()
    async with client.post("/embed", json={}) as response:
        assert response.status == 400
    [caller] = rig.callers.values()
    assert (caller.name, caller.transport) == ("test/1.0", "http")
    assert (caller.requests, caller.failed, caller.in_flight) == (4, 1, 0)
    counts = rig.statistics.methods["embed"]
    assert (counts.requests, counts.failed, rig.statistics.in_flight) == (4, 1, 0)
    left = asyncio.Event()
    rig.on_leave = left.set
    await client.close()
    await within(left.wait())
    assert rig.left == [caller]


async def test_health_and_metrics_are_not_requests_of_a_method(
    rig: Rig, client: aiohttp.ClientSession
) -> None:
    for path in ("/", "/health", "/metrics"):
        async with client.get(path) as response:
            await response.read()
    assert not rig.statistics.methods
    assert rig.service.calls == []


# Who goes away


async def test_the_work_of_a_client_that_goes_away_is_cancelled(rig: Rig) -> None:
    rig.service.gate = asyncio.Event()
    left = asyncio.Event()
    rig.on_leave = left.set
    _, writer = await connect(rig)
    writer.write(request_bytes())
    await within(rig.service.waiting.wait())
    assert rig.statistics.in_flight == 1
    writer.close()
    await within(rig.service.cancelled.wait())
    await within(left.wait())
    counts = rig.statistics.methods["embed"]
    assert (counts.requests, counts.failed, rig.statistics.in_flight) == (1, 1, 0)


async def test_a_client_that_does_not_read_its_reply_is_cut_off(start: Starter) -> None:
    rig = await start(None, LimitSettings(write_s=0.05))
    left = asyncio.Event()
    rig.on_leave = left.set
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    with sock:
        await loop.sock_connect(sock, ("127.0.0.1", rig.port))
        texts = json.dumps({"inputs": [f"text {n}" for n in range(3000)]}).encode()
        await loop.sock_sendall(sock, request_bytes("/embed", texts))
        await within(left.wait())
    assert [record.event for record in rig.events.records()] == ["client.cut_off"]


# Leaving


async def test_draining_finishes_what_is_open_and_then_hangs_up(rig: Rig) -> None:
    rig.service.gate = asyncio.Event()
    reader, writer = await connect(rig)
    idle_reader, idle_writer = await connect(rig)
    writer.write(request_bytes())
    await within(rig.service.waiting.wait())
    port = rig.port
    drained = asyncio.create_task(rig.gateway.drain(20))
    while True:  # the listener closes in the task's first step
        await asyncio.sleep(0)
        try:
            _, late = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            break
        late.close()
    rig.service.fault, rig.service.is_draining = ShuttingDownError("Bye."), True
    idle_writer.write(request_bytes("/health", b"", verb="GET"))
    status, headers, _ = await read_reply(idle_reader)
    assert (status, headers["connection"]) == (503, "close")
    rig.service.gate.set()
    status, headers, _ = await read_reply(reader)
    assert (status, headers["connection"]) == (200, "close")
    await within(drained)
    assert await within(reader.read()) == b""
    assert len(rig.left) == len(rig.callers) == 2
    for each in (writer, idle_writer):
        each.close()


async def test_draining_waits_no_longer_than_it_was_told(rig: Rig) -> None:
    rig.service.gate = asyncio.Event()
    reader, writer = await connect(rig)
    writer.write(request_bytes())
    await within(rig.service.waiting.wait())
    await within(rig.gateway.drain(0.01))
    assert rig.service.cancelled.is_set()
    status, headers, body = await read_reply(reader)
    assert (status, headers["connection"]) == (503, "close")
    assert json.loads(body)["error"]["code"] == "shutting_down"
    assert await within(reader.read()) == b""
    assert rig.left == list(rig.callers.values())
    writer.close()


async def test_closing_twice_or_before_the_start_is_nothing(rig: Rig) -> None:
    await rig.gateway.close()
    await rig.gateway.close()
    await make_rig().gateway.close()
