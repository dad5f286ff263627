"""Servers that refuse, stall, break off or answer nonsense."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from upstream_kit import Clock, MakeEmbedder

from emberd.errors import (
    EmbeddingFailedError,
    EmberdError,
    InvalidParamsError,
    RateLimitedError,
    TextTooLongError,
    UpstreamUnavailableError,
)
from emberd.plugins import EmbeddedText
from emberd_upstream.breaker import FAILURES
from emberd_upstream.embedder import UpstreamEmbedder
from upstream_server import BAD, UpstreamServer, answer_of, refuse, text_vector


def changed(change: Any) -> Any:
    """A fault: the right answer with other rows."""

    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        value = answer_of(request.path, {**body, "encoding_format": None}, change)
        return web.Response(text=json.dumps(value), content_type="application/json")

    return answer


async def cut_off(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """Half of the answer, then the connection is gone."""
    text = json.dumps(answer_of(request.path, body)).encode()
    response = web.StreamResponse(headers={"Content-Length": str(len(text))})
    await response.prepare(request)
    await response.write(text[: len(text) // 2])
    assert request.transport is not None
    request.transport.abort()
    return response


async def truncated(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """Half of the answer, said to be the whole."""
    text = json.dumps(answer_of(request.path, body))
    return web.Response(text=text[: len(text) // 2], content_type="application/json")


async def slow(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """The whole answer in many small pieces."""
    text = json.dumps(answer_of(request.path, body)).encode()
    response = web.StreamResponse()
    await response.prepare(request)
    for start in range(0, len(text), 200):
        await response.write(text[start : start + 200])
        await asyncio.sleep(0)
    await response.write_eof()
    return response


async def page(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    return web.Response(text="<html>Welcome</html>", content_type="text/html")


async def vectors_of(embedder: UpstreamEmbedder, *texts: str) -> list[Any]:
    return list(await embedder.embed("m", list(texts), "end"))


def is_vector_of(answer: object, text: str) -> bool:
    return isinstance(answer, EmbeddedText) and np.allclose(answer.vector, text_vector(text))


@pytest.mark.parametrize(
    "fault",
    [
        refuse(500),
        refuse(503),
        refuse(408),
        refuse(429),
        cut_off,
        truncated,
        slow,
        page,
        changed(lambda rows: rows[:-1]),
        changed(lambda rows: [*rows, rows[0]]),
        changed(lambda rows: [[row] for row in rows]),
        changed(lambda rows: ["###" for _ in rows]),
        changed(lambda rows: [{"no": "vector"} for _ in rows]),
    ],
    ids=[
        "500",
        "503",
        "408",
        "429",
        "cut_off",
        "truncated",
        "slow",
        "page",
        "too_few",
        "too_many",
        "nested",
        "no_base64",
        "maps",
    ],
)
async def test_what_passes_by_itself_is_tried_again(
    server: UpstreamServer, make_embedder: MakeEmbedder, fault: Any
) -> None:
    server.faults.append(fault)
    found = await vectors_of(make_embedder(server.url), "a", "b")
    assert is_vector_of(found[0], "a")
    assert is_vector_of(found[1], "b")


async def test_attempts_come_to_an_end(
    server: UpstreamServer, make_embedder: MakeEmbedder, clock: Clock
) -> None:
    server.faults.extend([refuse(500, "out of memory")] * 3)
    with pytest.raises(UpstreamUnavailableError, match="HTTP 500: out of memory"):
        await vectors_of(make_embedder(server.url, retries=2), "a")
    assert len(server.seen) == 3
    assert 0 < clock.waits[0] < clock.waits[1]


async def test_a_hanging_server_is_left_after_its_time(
    server: UpstreamServer, make_embedder: MakeEmbedder
) -> None:
    server.faults.append(server.hang)
    embedder = make_embedder(server.url, timeout_s=0.05, retries=0)
    with pytest.raises(UpstreamUnavailableError, match=r"no answer within 0\.05 s"):
        await vectors_of(embedder, "a")


async def test_a_server_that_is_not_there_is_an_outage(make_embedder: MakeEmbedder) -> None:
    with pytest.raises(UpstreamUnavailableError, match=r":1: the connection is refused"):
        await vectors_of(make_embedder("http://127.0.0.1:1"), "a")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="it makes the certificate")
async def test_a_certificate_that_nobody_vouches_for_is_refused(
    make_embedder: MakeEmbedder, tmp_path: Path
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1"
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    await asyncio.to_thread(
        subprocess.run, [*command.split(), *names, *files], check=True, capture_output=True
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = UpstreamServer(tls=context)
    server.start()
    careful = make_embedder(server.url, key="sk-secret", retries=0)
    careless = make_embedder(server.url, verify_tls=False)
    try:
        with pytest.raises(UpstreamUnavailableError, match="certificate is not trusted"):
            await vectors_of(careful, "a")
        assert server.seen == []
        (found,) = await vectors_of(careless, "a")
        assert is_vector_of(found, "a")
    finally:
        await careless.close()
        await asyncio.to_thread(server.stop)  # TLS says goodbye, for which this loop must run


@pytest.mark.parametrize(
    "header",
    [
        {"Retry_After": "7"},
        {"retry_after_ms": "7000"},
        {"x_ratelimit_reset_requests": "7s", "x_ratelimit_remaining_requests": "0"},
    ],
)
async def test_a_server_is_given_the_time_that_it_asks_for(
    server: UpstreamServer, make_embedder: MakeEmbedder, clock: Clock, header: dict[str, str]
) -> None:
    server.faults.append(refuse(429, **header))
    await vectors_of(make_embedder(server.url), "a")
    assert sum(clock.waits) == pytest.approx(7)


async def test_retry_after_may_be_a_date(
    server: UpstreamServer, make_embedder: MakeEmbedder, clock: Clock
) -> None:
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    server.faults.append(refuse(503, Retry_After=then))
    await vectors_of(make_embedder(server.url), "a")
    assert 10 < sum(clock.waits) <= 20


async def test_who_asks_for_too_much_time_is_not_waited_for(
    server: UpstreamServer, make_embedder: MakeEmbedder, clock: Clock
) -> None:
    server.faults.append(refuse(429, "slow down", Retry_After="60"))
    embedder = make_embedder(server.url, max_wait_s=30)
    with pytest.raises(RateLimitedError, match="slow down") as caught:
        await vectors_of(embedder, "a")
    assert caught.value.retry_after_ms == 60_000
    assert clock.waits == []
    with pytest.raises(RateLimitedError):
        await vectors_of(embedder, "b")
    assert len(server.seen) == 1


async def test_a_spent_quota_is_an_outage_as_no_waiting_helps(
    server: UpstreamServer, make_embedder: MakeEmbedder
) -> None:
    server.faults.append(refuse(429, "You exceeded your quota: insufficient_quota"))
    with pytest.raises(UpstreamUnavailableError, match="insufficient_quota"):
        await vectors_of(make_embedder(server.url), "a")
    assert len(server.seen) == 1


async def test_a_wrong_key_is_told_and_not_repeated(
    server: UpstreamServer, make_embedder: MakeEmbedder
) -> None:
    server.faults.append(refuse(401, "Incorrect API key provided: sk-secret"))
    with pytest.raises(UpstreamUnavailableError, match="Check the API key") as caught:
        await vectors_of(make_embedder(server.url, key="sk-secret"), "a")
    assert "sk-secret" not in caught.value.message
    assert server.seen[0].headers["Authorization"] == "Bearer sk-secret"
    assert len(server.seen) == 1


async def test_a_redirect_does_not_take_the_key_elsewhere(
    server: UpstreamServer, second_server: UpstreamServer, make_embedder: MakeEmbedder
) -> None:
    server.faults.append(refuse(307, Location=f"{second_server.url}/v1/embeddings"))
    with pytest.raises(UpstreamUnavailableError, match="HTTP 307"):
        await vectors_of(make_embedder(server.url, key="sk-secret"), "a")
    assert second_server.seen == []


@pytest.mark.parametrize("kind", ["openai", "ollama", "tei"])
async def test_one_bad_text_fails_alone(
    server: UpstreamServer, make_embedder: MakeEmbedder, kind: str
) -> None:
    texts = [f"text {number}" for number in range(20)]
    texts[13] = BAD
    found = await vectors_of(make_embedder(server.url, kind=kind), *texts)
    assert isinstance(found[13], InvalidParamsError)
    assert "I refuse" in found[13].message
    good = [is_vector_of(answer, text) for answer, text in zip(found, texts, strict=True)]
    assert good == [text != BAD for text in texts]


async def test_every_bad_text_is_found(server: UpstreamServer, make_embedder: MakeEmbedder) -> None:
    texts = [BAD if number % 3 else f"text {number}" for number in range(8)]
    found = await vectors_of(make_embedder(server.url), *texts)
    assert [isinstance(each, EmberdError) for each in found] == [text == BAD for text in texts]


async def test_a_text_that_is_too_long_says_so(
    server: UpstreamServer, make_embedder: MakeEmbedder
) -> None:
    found = await vectors_of(make_embedder(server.url), "short", "x" * 200_000)
    assert is_vector_of(found[0], "short")
    assert isinstance(found[1], TextTooLongError)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), None, 0.0], ids=str)
async def test_a_vector_without_a_direction_fails_its_text_alone(
    server: UpstreamServer, make_embedder: MakeEmbedder, number: float | None
) -> None:
    server.faults.append(changed(lambda rows: [rows[0], [number] * len(rows[0]), rows[2]]))
    found = await vectors_of(make_embedder(server.url), "a", "b", "c")
    assert isinstance(found[1], EmbeddingFailedError)
    assert is_vector_of(found[0], "a")
    assert is_vector_of(found[2], "c")


async def test_vectors_of_another_length_are_not_taken(
    server: UpstreamServer, make_embedder: MakeEmbedder
) -> None:
    with pytest.raises(UpstreamUnavailableError, match="16 numbers where 12 belong"):
        await vectors_of(make_embedder(server.url, dim=12), "a")
    assert len(server.seen) == 1


async def test_a_server_that_knows_no_base64_is_asked_for_numbers_from_then_on(
    server: UpstreamServer, make_embedder: MakeEmbedder
) -> None:
    server.takes_base64 = False
    embedder = make_embedder(server.url)
    assert is_vector_of((await vectors_of(embedder, "a"))[0], "a")
    await vectors_of(embedder, "b")
    assert ["encoding_format" in seen.body for seen in server.seen] == [True, False, False]


async def test_the_breaker_opens_and_closes_again(
    server: UpstreamServer, make_embedder: MakeEmbedder, clock: Clock
) -> None:
    embedder = make_embedder(server.url, retries=0)
    server.faults.extend([refuse(500)] * FAILURES)
    for _ in range(FAILURES):
        with pytest.raises(UpstreamUnavailableError, match="HTTP 500"):
            await vectors_of(embedder, "a")
    with pytest.raises(UpstreamUnavailableError, match="left alone") as caught:
        await vectors_of(embedder, "a")
    assert len(server.seen) == FAILURES
    assert caught.value.retry_after_ms is not None
    clock.time += caught.value.retry_after_ms / 1e3
    assert is_vector_of((await vectors_of(embedder, "a"))[0], "a")
    assert "closed" in str(embedder.stats()["endpoints"])


async def test_the_next_server_is_asked_when_one_is_away(
    server: UpstreamServer, second_server: UpstreamServer, make_embedder: MakeEmbedder
) -> None:
    embedder = make_embedder("http://127.0.0.1:1", server.url, second_server.url)
    assert is_vector_of((await vectors_of(embedder, "a"))[0], "a")
    assert (server.texts, second_server.texts) == (["a"], [])
    server.faults.extend([refuse(500)] * 3)
    assert is_vector_of((await vectors_of(embedder, "b"))[0], "b")
    assert second_server.texts == ["b"]


async def test_a_busy_server_is_not_waited_for_where_there_is_another(
    server: UpstreamServer,
    second_server: UpstreamServer,
    make_embedder: MakeEmbedder,
    clock: Clock,
) -> None:
    server.faults.append(refuse(429, Retry_After="20"))
    embedder = make_embedder(server.url, second_server.url)
    assert is_vector_of((await vectors_of(embedder, "a"))[0], "a")
    assert second_server.texts == ["a"]
    assert clock.waits == []


async def test_giving_up_ends_the_request_and_keeps_the_embedder(
    server: UpstreamServer, make_embedder: MakeEmbedder
) -> None:
    arrived = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def hang(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        loop.call_soon_threadsafe(arrived.set)
        return await server.hang(request, body)

    server.faults.append(hang)
    embedder = make_embedder(server.url)
    call = asyncio.create_task(vectors_of(embedder, "a"))
    await arrived.wait()
    call.cancel()
    await asyncio.wait([call])
    assert call.cancelled()
    assert is_vector_of((await vectors_of(embedder, "b"))[0], "b")
