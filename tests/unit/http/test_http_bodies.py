from __future__ import annotations

import contextlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberd.errors import InvalidParamsError, InvalidRequestError
from emberd.server.http.bodies import Body, decode_body


class Request(Body, frozen=True, kw_only=True):
    input: str | list[str]
    model: str | None = None
    dimensions: int | None = None


async def decode(body: bytes) -> Request:
    return await decode_body(body, Request, "input")


async def test_fields_that_mean_nothing_to_us_are_ignored() -> None:
    assert await decode(b'{"input": "a", "user": "me", "options": {"seed": 1}}') == Request(
        input="a"
    )


async def test_a_large_body_is_read_as_a_small_one_is() -> None:
    texts = [f"text {n} " + "x" * 1000 for n in range(2000)]
    assert (await decode(msgspec.json.encode({"input": texts}))).input == texts


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"hello",
        b'{"input": "a"',
        b'{"input": "a"} x',
        b'{"input": "\xff"}',
        b'{"input": "\\ud800"}',
        b"\xef\xbb\xbf{}",
        b'{"other": ' + b"[" * 100_000,
    ],
    ids=lambda body: repr(body[:16]),
)
async def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="not JSON"):
        await decode(body)


@pytest.mark.parametrize("body", [b"[]", b"null", b'"a"', b"{}"])
async def test_json_of_another_shape_is_told_apart(body: bytes) -> None:
    with pytest.raises(InvalidParamsError) as caught:
        await decode(body)
    assert caught.value.details == {"field": "body"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.binary() | st.dictionaries(st.sampled_from(["input", "model", "x"]), json_values))
async def test_nothing_but_a_typed_error_comes_of_any_body(body: bytes | dict[str, object]) -> None:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    with contextlib.suppress(InvalidParamsError, InvalidRequestError):
        assert isinstance((await decode(sent)).input, str | list)
