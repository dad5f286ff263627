"""The parts that need no server."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upstream_kit import Clock, MakeEmbedder

from emberd.errors import UpstreamUnavailableError
from emberd_upstream.breaker import COOLDOWN_S, FAILURES, Breaker
from emberd_upstream.dialects import address_of, body_of
from emberd_upstream.identity import fingerprint_of
from emberd_upstream.pace import Pace, TooSlowError
from emberd_upstream.plugin import UpstreamPlugin
from emberd_upstream.refusals import meaning_of, reason_in
from emberd_upstream.results import shared_out
from emberd_upstream.settings import ModelSettings, UpstreamSettings, api_key_of, check_settings
from emberd_upstream.waiting import asked_wait_s, backoff_s
from upstream_server import DIM, UpstreamServer


@pytest.mark.parametrize(
    ("url", "kind", "expected"),
    [
        ("https://api.example.com", "openai", "https://api.example.com/v1/embeddings"),
        ("https://api.example.com/v1/", "openai", "https://api.example.com/v1/embeddings"),
        ("http://h:1/openai/v1", "openai", "http://h:1/openai/v1/embeddings"),
        ("http://h/d/x/embeddings?v=1", "openai", "http://h/d/x/embeddings?v=1"),
        ("http://h:11434", "ollama", "http://h:11434/api/embed"),
        ("http://h:11434/api", "ollama", "http://h:11434/api/embed"),
        ("http://h/ollama", "ollama", "http://h/ollama/api/embed"),
        ("http://h:8080/", "tei", "http://h:8080/embed"),
        ("http://h/m/embed", "tei", "http://h/m/embed"),
    ],
)
def test_an_address_may_be_given_in_any_usual_form(url: str, kind: str, expected: str) -> None:
    assert address_of(url, kind) == expected  # type: ignore[arg-type]


def test_truncation_is_asked_for_where_the_server_can() -> None:
    assert body_of("tei", "m", ["a"], "start") == {
        "inputs": ["a"],
        "truncate": True,
        "truncation_direction": "Left",
    }
    assert body_of("ollama", "m", ["a"], "error")["truncate"] is False
    assert body_of("openai", "m", ["a"], "end", dimensions=8) == {
        "model": "m",
        "input": ["a"],
        "dimensions": 8,
    }


def test_equal_models_have_equal_fingerprints_and_others_do_not() -> None:
    assert fingerprint_of("m", 8) == fingerprint_of("m", 8)
    others = {
        fingerprint_of("m", 8),
        fingerprint_of("m2", 8),
        fingerprint_of("m", 16),
        fingerprint_of("m", 8, "r2"),
        fingerprint_of("m8", 0),
    }
    assert len(others) == 5
    assert all(len(bytes.fromhex(each)) == 16 for each in others)


def test_a_breaker_lets_one_call_try_after_its_cooldown() -> None:
    breaker = Breaker()
    for _ in range(FAILURES):
        assert breaker.enter(0.0)
        breaker.failed(0.0)
    assert not breaker.enter(COOLDOWN_S / 2)
    assert breaker.enter(COOLDOWN_S)
    assert not breaker.enter(COOLDOWN_S)
    breaker.failed(COOLDOWN_S)
    assert breaker.wait_s(COOLDOWN_S) == 2 * COOLDOWN_S
    assert breaker.enter(3 * COOLDOWN_S)
    breaker.succeeded()
    assert breaker.state(3 * COOLDOWN_S) == "closed"
    assert breaker.enter(3 * COOLDOWN_S)


def test_a_trial_that_was_given_up_leaves_room_for_the_next() -> None:
    breaker = Breaker()
    for _ in range(FAILURES):
        breaker.failed(0.0)
    assert breaker.enter(COOLDOWN_S)
    breaker.left()
    assert breaker.enter(COOLDOWN_S)


@given(st.lists(st.booleans(), max_size=60))
def test_a_breaker_never_stays_shut(outcomes: list[bool]) -> None:
    breaker, now = Breaker(), 0.0
    for is_good in outcomes:
        now += breaker.wait_s(now)
        assert breaker.enter(now)
        if is_good:
            breaker.succeeded()
        else:
            breaker.failed(now)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:10 GMT"}, 10.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:20:00 GMT"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
        ({"x-ratelimit-reset-requests": "6m0s"}, 360.0),
        ({"x-ratelimit-reset-tokens": "20ms"}, 0.02),
        ({"x-ratelimit-reset-tokens": "1h2m3.5s"}, 3723.5),
        ({"x-ratelimit-reset-tokens": "later"}, None),
        ({"x-ratelimit-reset-tokens": "9s", "x-ratelimit-remaining-tokens": "7"}, None),
    ],
)
def test_what_a_server_asks_for_is_understood(
    headers: dict[str, str], expected: float | None
) -> None:
    now = datetime(2015, 10, 21, 7, 28, tzinfo=UTC)
    assert asked_wait_s(headers, now) == expected


@given(st.integers(0, 40), st.floats(0, 1))
def test_back_off_grows_and_is_bounded(attempt: int, jitter: float) -> None:
    wait_s = backoff_s(attempt, lambda: jitter)
    assert 0.1 < wait_s <= 8
    assert backoff_s(attempt + 1, lambda: jitter) >= wait_s


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error": {"message": "no such", "code": "x"}}', "no such x"),
        (b'{"error": "model not found"}', "model not found"),
        (b'{"detail": [{"msg": "wrong"}]}', '[{"msg":"wrong"}]'),
        (b"<html>\n502 \x07</html>", "<html> 502 </html>"),
        (b"[1]", "[1]"),
        (b"", ""),
    ],
)
def test_a_servers_words_are_found_in_any_shape(body: bytes, words: str) -> None:
    assert reason_in(body) == words


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (400, "bad_text"),
        (413, "bad_text"),
        (422, "bad_text"),
        (429, "limited"),
        (500, "outage"),
        (408, "outage"),
        (401, "refused"),
        (404, "refused"),
        (302, "refused"),
    ],
)
def test_a_status_means_one_thing(status: int, meaning: str) -> None:
    assert meaning_of(status, "") == meaning


@given(st.lists(st.text(max_size=20), min_size=1, max_size=20), st.integers(0, 10_000))
def test_shared_out_tokens_add_up(texts: list[str], tokens: int) -> None:
    counts = shared_out(tokens, texts)
    assert sum(counts) == tokens
    assert min(counts) >= 0


async def test_a_rate_is_kept_by_waiting(clock: Clock) -> None:
    pace = Pace(60, 0, clock=clock.now, sleep=clock.sleep)
    times = []
    for _ in range(100):
        await pace.enter(1, 1_000)
        times.append(clock.time)
    for start in times:
        assert sum(start <= time < start + 60 for time in times) <= 61


async def test_nobody_waits_longer_than_allowed_for_a_rate(clock: Clock) -> None:
    pace = Pace(0, 600, clock=clock.now, sleep=clock.sleep)
    await pace.enter(600, 0)
    with pytest.raises(TooSlowError) as caught:
        await pace.enter(60, 5)
    assert caught.value.wait_s > 5
    assert clock.waits == []


async def test_those_who_wait_for_a_rate_go_in_turn(clock: Clock) -> None:
    pace = Pace(60, 0, clock=clock.now, sleep=clock.sleep)
    order: list[int] = []

    async def enter(number: int) -> None:
        await pace.enter(1, 1_000)
        order.append(number)

    await asyncio.gather(*[enter(number) for number in range(20)])
    assert order == list(range(20))


async def test_tokens_that_the_server_counted_take_the_place_of_the_estimate(clock: Clock) -> None:
    pace = Pace(0, 600, clock=clock.now, sleep=clock.sleep)
    await pace.enter(600, 0)
    pace.settle(600, 6)
    await pace.enter(50, 0)
    assert clock.waits == []


def test_a_model_needs_a_usable_address_and_key() -> None:
    def check(**settings: object) -> None:
        model = ModelSettings(**{"urls": ["http://h"], **settings})  # type: ignore[arg-type]
        check_settings(UpstreamSettings(models={"m": model}), {"KEY": "sk-1\n"})

    check()
    check(api_key_env="KEY")
    for wrong in [
        {"urls": []},
        {"urls": ["ftp://h"]},
        {"urls": ["localhost:80"]},
        {"urls": ["http://user:word@h"]},
        {"fallback": "m"},
        {"dim": 8, "dimensions": 4},
        {"api_key": "a", "api_key_env": "KEY"},
        {"api_key_env": "OTHER"},
        {"api_key": "with\nnewline"},
    ]:
        with pytest.raises(ValueError, match=r"plugin\.upstream\.models\.m"):
            check(**wrong)
    with pytest.raises(ValueError, match="there is none"):
        check_settings(UpstreamSettings(), {})
    model = ModelSettings(urls=[], api_key_env="KEY")
    assert api_key_of(model, {"KEY": "sk-1\n"}) == "sk-1"


def test_the_plugin_names_the_type_of_its_settings() -> None:
    assert UpstreamPlugin().emberd_settings() is UpstreamSettings


async def test_the_number_of_dimensions_is_asked_for_once(
    server: UpstreamServer, make_embedder: MakeEmbedder
) -> None:
    (model,) = await make_embedder(server.url, dim=0).models()
    assert model.dim == DIM
    asked = len(server.seen)
    server.stop()
    (again,) = await make_embedder(server.url, dim=0).models()
    assert again == model
    assert len(server.seen) == asked


async def test_a_model_nobody_knows_of_is_not_offered(make_embedder: MakeEmbedder) -> None:
    with pytest.raises(UpstreamUnavailableError):
        await make_embedder("http://127.0.0.1:1", dim=0).models()


async def test_figures_tell_of_every_server(
    server: UpstreamServer, make_embedder: MakeEmbedder
) -> None:
    embedder = make_embedder(server.url)
    await embedder.embed("m", ["a", "b"], "end")
    stats = embedder.stats()
    assert (stats["requests"], stats["tokens"]) == (1, 4)
    assert stats["endpoints"] == f"127.0.0.1:{server.port} closed"
