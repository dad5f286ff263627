from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberd.config import HttpSettings
from emberd.errors import InvalidConfigError, UnauthenticatedError
from emberd.server.http.guard import Guard, is_loopback
from emberd.server.http.statuses import Refusal

LOCAL = Guard(HttpSettings())
SECRET = Guard(HttpSettings(token="s3cret-é"))
EVERYWHERE = Guard(HttpSettings(host="0.0.0.0", token="s3cret"))


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8080",
        "localhost.:8080",
        "127.0.0.1",
        "127.0.0.1:1",
        "[::1]",
        "[::1]:8080",
        "[0:0:0:0:0:0:0:1]:8080",
    ],
)
def test_this_machines_own_names_are_let_in(host: str) -> None:
    LOCAL.check({"Host": host})


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "192.168.1.7:8080",
        "[::1",
        "[::2]",
        "local host",
        "127.0.0.1/../x@evil",
    ],
)
def test_another_name_is_a_rebound_one(host: str) -> None:
    with pytest.raises(Refusal) as caught:
        LOCAL.check({"Host": host})
    assert caught.value.status == 403


def test_a_request_without_a_host_is_refused() -> None:
    with pytest.raises(Refusal):
        LOCAL.check({})


def test_the_configured_host_is_a_name_of_ours() -> None:
    guard = Guard(HttpSettings(host="Workstation.example", token="t"))
    guard.check({"Host": "workstation.example:8080", "Authorization": "Bearer t"})


def test_a_gateway_on_every_address_knows_addresses_and_its_own_name_but_no_strangers() -> None:
    bearer = {"Authorization": "Bearer s3cret"}
    for host in ("192.168.1.7:8080", "[fe80::1]", socket.gethostname(), "localhost"):
        EVERYWHERE.check({"Host": host, **bearer})
    with pytest.raises(Refusal):
        EVERYWHERE.check({"Host": "evil.example", **bearer})


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "https://localhost:8080",
        "http://localhost:3000",
        "http://localhost",
        "null",
        "",
        "http://[::1",
        "app://localhost:8080",
    ],
)
def test_the_page_of_another_site_is_refused(origin: str) -> None:
    with pytest.raises(Refusal) as caught:
        LOCAL.check({"Host": "localhost:8080", "Origin": origin})
    assert caught.value.status == 403


def test_the_gateways_own_page_may_ask() -> None:
    LOCAL.check({"Host": "localhost:8080", "Origin": "http://LOCALHOST:8080"})


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "Bearer s3cret", "Basic s3cret-é", "s3cret-é"]
)
def test_without_the_token_nobody_is_let_in(authorization: str | None) -> None:
    headers = {"Host": "localhost"}
    if authorization is not None:
        headers["Authorization"] = authorization
    with pytest.raises(UnauthenticatedError):
        SECRET.check(headers)


def test_the_token_lets_in_whatever_the_case_of_bearer() -> None:
    SECRET.check({"Host": "localhost", "Authorization": "bearer s3cret-é"})


def test_a_token_that_nobody_asked_for_is_ignored() -> None:
    LOCAL.check({"Host": "localhost", "Authorization": "Bearer sk-no-matter"})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.7", "workstation.example"])
def test_other_machines_need_a_token(host: str) -> None:
    with pytest.raises(InvalidConfigError, match=r"http\.token is empty"):
        Guard(HttpSettings(host=host))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"])
def test_loopback_is_known_in_every_spelling(host: str) -> None:
    assert is_loopback(host)


@given(st.dictionaries(st.sampled_from(["Host", "Origin", "Authorization"]), st.text()))
def test_whatever_the_headers_say_the_guard_answers(headers: dict[str, str]) -> None:
    for guard in (LOCAL, SECRET, EVERYWHERE):
        try:
            guard.check(headers)
        except (Refusal, UnauthenticatedError):
            continue
        assert headers["Host"]
