"""The pure parts: addresses, retries, results of split calls."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emberd.client.address import Address, parse_address
from emberd.client.replies import embed_result, merged, moved, read, vectors_of
from emberd.client.results import EmbedResult
from emberd.client.retry import RetryPolicy
from emberd.client.settings import ClientSettings
from emberd.errors import (
    ConnectionLostError,
    EmbeddingFailedError,
    InvalidParamsError,
    OverloadedError,
    ProtocolError,
    RateLimitedError,
    RequestTimeoutError,
    ShuttingDownError,
    TextTooLongError,
)
from emberd.wire import Welcome
from emberd.wire.vectors import encode_vectors


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("/run/d.sock", Address(path=Path("/run/d.sock"))),
        ("unix:/run/d.sock", Address(path=Path("/run/d.sock"))),
        ("unix:///run/d.sock", Address(path=Path("/run/d.sock"))),
        ("d.sock", Address(path=Path("d.sock"))),
        ("tcp://example.org:7000", Address(host="example.org", port=7000)),
        ("tcp://[::1]:7000/", Address(host="::1", port=7000)),
    ],
)
def test_addresses_are_read(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "unix:", "tcp://host", "tcp://:70", "tcp://h:0", "tcp://h:x", "http://h:80"]
)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidParamsError, match="tcp://host:port"):
        parse_address(text)


def test_a_lost_connection_is_mended_once() -> None:
    policy, error = RetryPolicy(2), ConnectionLostError("Gone.")
    assert policy.delay_s(error, "embed", 1, 0) == 0
    assert policy.delay_s(error, "embed", 2, 0) is None


def test_a_shutdown_is_never_sent_twice() -> None:
    assert RetryPolicy(2).delay_s(ConnectionLostError("Gone."), "shutdown", 1, 0) is None


def test_a_busy_daemon_is_asked_again_when_it_said_and_not_for_ever() -> None:
    policy = RetryPolicy(2)
    for error in (OverloadedError("Full.", retry_after_ms=400), ShuttingDownError("Bye.")):
        delays = [policy.delay_s(error, "embed", 0, refusals) for refusals in (1, 2, 3)]
        assert delays[2] is None
        assert delays[0]
        assert delays[1]
        if error.retry_after_ms:
            assert all(delay is None or 0.4 <= delay <= 0.5 for delay in delays)


def test_delays_grow_and_are_bounded() -> None:
    policy = RetryPolicy(50)
    delays = [policy.delay_s(OverloadedError("Full."), "m", 0, count) for count in range(1, 40)]
    assert all(delay is not None and 0.05 <= delay <= 6.25 for delay in delays)
    asked_for_an_hour = OverloadedError("Full.", retry_after_ms=3_600_000)
    assert (policy.delay_s(asked_for_an_hour, "m", 0, 1) or 99) <= 6.25


def test_a_rate_limit_is_waited_for_as_long_as_it_says() -> None:
    policy = RetryPolicy(2, rate_limit_wait_s=10)
    error = RateLimitedError("Slow down.", retry_after_ms=4_000)
    first = policy.delay_s(error, "embed", 0, 1)
    assert first is not None
    assert 4 <= first <= 5
    assert policy.delay_s(error, "embed", 0, 2, first) is not None
    assert policy.delay_s(error, "embed", 0, 3, 2 * first) is None


def test_a_rate_limit_that_asks_for_too_long_is_raised_at_once() -> None:
    error = RateLimitedError("Tomorrow.", retry_after_ms=30_001)
    assert RetryPolicy(2).delay_s(error, "embed", 0, 1) is None


def test_a_rate_limit_that_asks_for_nothing_is_not_asked_for_ever() -> None:
    policy, error = RetryPolicy(1), RateLimitedError("Slow down.", retry_after_ms=0)
    tries = [policy.delay_s(error, "embed", 0, refusals) for refusals in range(1, 40)]
    assert tries[:10] == [0.0] * 10
    assert set(tries[10:]) == {None}
    unsaid = RateLimitedError("Slow down.")
    assert all(0 < (policy.delay_s(unsaid, "m", 0, count) or 0) < 10 for count in range(1, 11))


def test_rate_limits_need_not_be_waited_for() -> None:
    policy = RetryPolicy(2, rate_limit_wait_s=0)
    assert policy.delay_s(RateLimitedError("No.", retry_after_ms=1), "embed", 0, 1) is None
    assert policy.delay_s(OverloadedError("Full."), "embed", 0, 1) is not None


def test_without_retries_every_failure_is_final() -> None:
    policy = RetryPolicy(0)
    limit = RateLimitedError("Slow down.", retry_after_ms=1)
    for error in (ConnectionLostError("Gone."), OverloadedError("Full."), limit):
        assert policy.delay_s(error, "embed", 1, 1) is None


def test_other_errors_are_final() -> None:
    for error in (RequestTimeoutError("Late."), TextTooLongError("Long."), ProtocolError("Odd.")):
        assert RetryPolicy(2).delay_s(error, "embed", 0, 1) is None


def part(rows: int, fingerprint: str = "f", **fields: object) -> EmbedResult:
    vectors = np.arange(rows * 2, dtype=np.float32).reshape(rows, 2)
    return EmbedResult(vectors=vectors, fingerprint=fingerprint, **fields)  # type: ignore[arg-type]


def test_parts_are_merged_with_indexes_of_the_whole_call() -> None:
    error = {
        "index": 1,
        "code": "EMBEDDING_FAILED",
        "message": "texts[1]: bad.",
        "details": {"field": "texts[1]", "index": 1},
    }
    whole = merged(
        [
            part(3, truncated=[0], hits={"memory": 1}, tokens=5, computed=2),
            part(2, truncated=[1], hits={"memory": 1, "lmdb": 1}, tokens=7, errors=[error]),
        ]
    )
    assert whole.vectors.shape == (5, 2)
    assert whole.truncated == [0, 4]
    assert whole.hits == {"memory": 2, "lmdb": 1}
    assert (whole.tokens, whole.computed, len(whole), whole.dim) == (12, 2, 5, 2)
    assert whole.errors[0]["index"] == 4
    assert whole.errors[0]["details"] == {"field": "texts[4]", "index": 4}
    failure = whole.failures[4]
    assert isinstance(failure, EmbeddingFailedError)
    assert failure.message == "texts[4]: bad."


def test_vectors_of_two_models_are_never_merged() -> None:
    with pytest.raises(EmbeddingFailedError, match="exchanged"):
        merged([part(1, "a"), part(1, "b")])


def test_an_error_of_a_part_names_the_text_of_the_call() -> None:
    details = {"field": "texts[3]", "index": 3, "tokens": 600}
    error = TextTooLongError("texts[3]: 600 tokens.", details=details)
    placed = moved(error, 512)
    assert isinstance(placed, TextTooLongError)
    assert placed.message == "texts[515]: 600 tokens."
    assert placed.details == {"field": "texts[515]", "index": 515, "tokens": 600}
    assert moved(error, 0) is error
    other = OverloadedError("Full.")
    assert moved(other, 512) is other


def test_a_reply_that_does_not_fit_is_the_daemons_fault() -> None:
    good = encode_vectors(np.ones((2, 4), np.float32), "f32")
    assert vectors_of(good, 2).shape == (2, 4)
    with pytest.raises(ProtocolError, match="3 rows"):
        vectors_of(good, 3)
    with pytest.raises(ProtocolError):
        vectors_of({**good, "data": b"short"}, 2)
    for odd in (None, [], {"vectors": good, "hits": 5}):
        with pytest.raises(ProtocolError):
            embed_result(odd, 2)


def test_fields_of_newer_daemons_are_passed_over() -> None:
    value = {"server": {"version": "9", "colour": "red"}, "limits": {"moons": 2}, "new": 1}
    assert read(value, Welcome).server.version == "9"


def test_hello_names_the_program_and_shows_the_token_only_where_there_is_one() -> None:
    assert ClientSettings().hello()["client"]
    assert "token" not in ClientSettings().hello()
    said = ClientSettings(token="secret", name="notes", namespace="work").hello()
    assert (said["token"], said["client"], said["namespace"]) == ("secret", "notes", "work")
