from __future__ import annotations

import pytest

from emberd.errors import (
    ERRORS_BY_CODE,
    EmberdError,
    InvalidParamsError,
    OverloadedError,
    UnauthenticatedError,
)
from emberd.server.http.calls import renamed
from emberd.server.http.routes import ROUTES, error_reply, find_route
from emberd.server.http.statuses import STATUS_BY_CODE, Refusal, retry_headers, status_of


def test_every_error_of_emberd_has_a_status() -> None:
    assert set(STATUS_BY_CODE) == set(ERRORS_BY_CODE)
    assert set(STATUS_BY_CODE.values()) <= set(range(400, 505))


@pytest.mark.parametrize("kind", ERRORS_BY_CODE.values(), ids=lambda kind: kind.code)
def test_what_a_retry_cannot_help_is_never_told_to_be_retried(kind: type[EmberdError]) -> None:
    error = kind("No.")
    headers = retry_headers(error, status_of(error))
    assert headers["x-should-retry"] == str(kind.is_retryable).lower()
    assert ("Retry-After" in headers) == (status_of(error) in {429, 503})


@pytest.mark.parametrize(("wait_ms", "seconds"), [(1, "1"), (1000, "1"), (1001, "2"), (None, "1")])
def test_retry_after_is_whole_seconds_and_never_too_short(
    wait_ms: int | None, seconds: str
) -> None:
    headers = retry_headers(OverloadedError("Full.", retry_after_ms=wait_ms), 429)
    assert headers["Retry-After"] == seconds


def test_one_who_has_no_token_is_told_the_scheme() -> None:
    assert retry_headers(UnauthenticatedError("Who?"), 401)["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/v1/embeddings", b'{"error":{"message":"No.",'),
        ("/elsewhere", b'{"error":{"message":"No.",'),
        ("/embed", b'{"error":"No.","error_type":"Validation"}'),
        ("/api/embed", b'{"error":"No."}'),
    ],
)
def test_an_error_has_the_shape_of_its_paths_dialect(path: str, shape: bytes) -> None:
    reply = error_reply(InvalidParamsError("No."), path)
    assert reply.status == 400
    assert reply.parts[0].startswith(shape)


def test_every_route_is_found_by_its_verb_and_path() -> None:
    for route in ROUTES:
        path = route.path.replace("{id}", "owner/name")
        found, tail = find_route(route.verb, path)
        assert found is route
        assert tail == ("owner/name" if "{id}" in route.path else "")


@pytest.mark.parametrize("path", ["/v1", "/v1/models/", "/v1/modelsx", "/tokenize", "/embed/", ""])
def test_an_unknown_path_is_not_found(path: str) -> None:
    with pytest.raises(Refusal) as caught:
        find_route("GET", path)
    assert caught.value.status == 404


def test_a_wrong_verb_is_told_the_right_one() -> None:
    with pytest.raises(Refusal) as caught:
        find_route("DELETE", "/v1/models/x")
    assert caught.value.status == 405
    assert caught.value.headers == {"Allow": "GET"}


def test_head_is_answered_where_get_is() -> None:
    assert find_route("HEAD", "/health")[0].verb == "GET"


def test_an_errors_field_gets_the_dialects_name() -> None:
    sent = InvalidParamsError(
        "texts[3]: too long.", retry_after_ms=5, details={"field": "texts[3]", "index": 3}
    )
    got = renamed(sent, {"texts": "input"})
    assert type(got) is InvalidParamsError
    assert got.message == "input[3]: too long."
    assert got.details == {"field": "input[3]", "index": 3}
    assert got.retry_after_ms == 5


@pytest.mark.parametrize("details", [{}, {"field": "dimensions"}, {"field": "[0]"}])
def test_other_errors_stay_as_they_are(details: dict[str, str]) -> None:
    sent = InvalidParamsError("texts are not the matter.", details=details)
    assert renamed(sent, {"texts": "input"}) is sent
