"""Both sides of a connection as state machines: msgids, replies, hello, refusals."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberd.errors import (
    ConnectionLostError,
    InternalError,
    InvalidParamsError,
    OverloadedError,
    ProtocolError,
    SlowReaderError,
    UnauthenticatedError,
)
from emberd.wire import (
    ClientConnection,
    Encoder,
    Malformed,
    Notification,
    Reply,
    Request,
    ServerConnection,
)
from emberd.wire.messages import MAX_MSGID


def pair() -> tuple[ClientConnection[str], ServerConnection]:
    return ClientConnection(), ServerConnection()


def asked(
    client: ClientConnection[str], server: ServerConnection, waiter: str, method: str = "ping"
) -> Request:
    """A request that has arrived at the server."""
    _, data = client.request(method, {}, waiter)
    (request,) = server.receive(data)
    assert isinstance(request, Request)
    return request


# -- the asking side


def test_a_reply_finds_its_waiter_in_any_order() -> None:
    client, server = pair()
    requests = [asked(client, server, waiter) for waiter in "abc"]
    data = b"".join(server.response(each.msgid, each.msgid * 10) for each in reversed(requests))
    replies = client.receive(data)
    assert [(reply.waiter, reply.result) for reply in replies if isinstance(reply, Reply)] == [
        ("c", 30),
        ("b", 20),
        ("a", 10),
    ]
    assert client.pending == 0


@given(st.permutations(list(range(12))))
def test_every_waiter_gets_its_own_reply(order: list[int]) -> None:
    client, server = pair()
    requests = [asked(client, server, str(number)) for number in range(12)]
    for number in order:
        (reply,) = client.receive(server.response(requests[number].msgid, number))
        assert isinstance(reply, Reply)
        assert reply.waiter == str(reply.result)
    assert server.open_requests == server.open_bytes == client.pending == 0


def test_params_are_one_map_or_nothing() -> None:
    client, server = pair()
    _, data = client.request("embed", {"texts": ["a"]}, "w")
    assert msgpack.unpackb(data) == [0, 1, "embed", [{"texts": ["a"]}]]
    assert asked(client, server, "x").params == []


def test_msgids_wrap_and_pass_over_those_in_use() -> None:
    client: ClientConnection[str] = ClientConnection()
    first, _ = client.request("ping", {}, "old")
    client._last_msgid = MAX_MSGID - 1  # four thousand million requests later
    assert [client.request("ping", {}, "new")[0] for _ in range(3)] == [MAX_MSGID, 0, 2]
    assert first == 1


def test_a_typed_error_arrives_after_hello_with_its_details() -> None:
    client, server = pair()
    asked(client, server, "h", "hello")
    server.greet()
    client.receive(server.response(1, {}))
    request = asked(client, server, "w")
    error = OverloadedError("Full.", retry_after_ms=250, details={"queue": 7})
    (reply,) = client.receive(server.error_response(request.msgid, error))
    assert isinstance(reply, Reply)
    assert isinstance(reply.error, OverloadedError)
    assert (reply.error.retry_after_ms, reply.error.details) == (250, {"queue": 7})


def test_a_peer_that_never_said_hello_gets_errors_as_text() -> None:
    client, server = pair()
    request = asked(client, server, "w")
    data = server.error_response(request.msgid, OverloadedError("Full."))
    assert msgpack.unpackb(data) == [1, request.msgid, "OVERLOADED: Full.", None]
    (reply,) = client.receive(data)
    assert isinstance(reply, Reply)
    assert isinstance(reply.error, OverloadedError)


def test_a_peer_may_say_hello_and_keep_errors_as_text() -> None:
    client, server = pair()
    asked(client, server, "h", "hello")
    server.greet(errors_as_maps=False)
    data = server.error_response(1, OverloadedError("Full."))
    assert msgpack.unpackb(data)[2] == "OVERLOADED: Full."


def test_an_abandoned_reply_is_dropped_and_the_server_is_told() -> None:
    client, server = pair()
    request = asked(client, server, "w")
    (cancel,) = server.receive(client.abandon(request.msgid))
    assert cancel == Notification("cancel", [request.msgid], cancel.size_bytes)
    assert client.abandon(request.msgid) == b""
    assert client.receive(server.response(request.msgid, 1)) == []
    assert client.pending == 0


def test_abandoning_after_the_reply_says_nothing() -> None:
    client, server = pair()
    request = asked(client, server, "w")
    client.receive(server.response(request.msgid, 1))
    assert client.abandon(request.msgid) == b""


def test_a_withdrawn_request_waits_for_nothing() -> None:
    client: ClientConnection[str] = ClientConnection()
    msgid, _ = client.request("ping", {}, "w")
    client.withdraw(msgid)
    assert client.pending == 0


def test_closing_names_those_who_still_wait() -> None:
    client, server = pair()
    for waiter in "abc":
        asked(client, server, waiter)
    client.abandon(2)
    assert client.close() == ["a", "c"]
    assert isinstance(client.loss(), ConnectionLostError)


def test_a_request_that_cannot_be_packed_leaves_the_connection_as_it_was() -> None:
    client, server = pair()
    with pytest.raises(InvalidParamsError):
        client.request("embed", {"texts": ["\ud800"]}, "w")
    assert client.pending == 0
    assert asked(client, server, "x").method == "ping"


@pytest.mark.parametrize(
    "message",
    [
        [1, 99, None, "never asked"],
        [0, 5, "ping", []],
        [7, 5, "ping", []],
    ],
)
def test_a_server_that_breaks_the_protocol_ends_the_connection(message: list[Any]) -> None:
    client, server = pair()
    asked(client, server, "w")
    event = client.receive(msgpack.packb(message) + server.response(1, "late"))
    assert len(event) == 1
    assert isinstance(event[0], Malformed)
    assert isinstance(event[0].error, ProtocolError)
    assert client.receive(server.response(1, "later")) == []


def test_the_servers_last_words_are_the_reason_of_the_loss() -> None:
    client, server = pair()
    asked(client, server, "h", "hello")
    server.greet()
    (event,) = client.receive(server.farewell(SlowReaderError("You read too slowly.")))
    assert isinstance(event, Malformed)
    assert isinstance(event.error, SlowReaderError)
    assert isinstance(client.loss(), SlowReaderError)


def test_notifications_reach_the_client() -> None:
    client, server = pair()
    (event,) = client.receive(server.notification("stats", {"version": 1}))
    assert isinstance(event, Notification)
    assert (event.method, event.params) == ("stats", [{"version": 1}])


# -- the answering side


def test_open_requests_and_their_bytes_are_counted_until_answered() -> None:
    client, server = pair()
    first, second = asked(client, server, "a"), asked(client, server, "b")
    assert server.open_requests == 2
    assert server.open_bytes == first.size_bytes + second.size_bytes > 0
    server.response(first.msgid, None)
    server.error_response(second.msgid, OverloadedError("Full."))
    assert server.open_requests == server.open_bytes == 0


def test_a_result_that_cannot_be_packed_can_still_be_answered_with_an_error() -> None:
    client, server = pair()
    request = asked(client, server, "w")
    with pytest.raises(InternalError) as caught:
        server.response(request.msgid, object())
    assert server.open_requests == 1
    (reply,) = client.receive(server.error_response(request.msgid, caught.value))
    assert isinstance(reply, Reply)
    assert isinstance(reply.error, InternalError)


def test_an_error_whose_details_cannot_be_packed_is_still_told() -> None:
    client, server = pair()
    asked(client, server, "h", "hello")
    server.greet()
    client.receive(server.response(1, {}))
    request = asked(client, server, "w")
    error = OverloadedError("Full.", details={"odd": object()})
    (reply,) = client.receive(server.error_response(request.msgid, error))
    assert isinstance(reply, Reply)
    assert isinstance(reply.error, OverloadedError)
    assert reply.error.details == {}


def test_a_msgid_in_use_is_refused_and_the_first_request_goes_on() -> None:
    _, server = pair()
    data = Encoder().request(5, "ping", ())
    first, second = server.receive(data + data)
    assert isinstance(first, Request)
    assert isinstance(second, Malformed)
    assert (second.msgid, second.is_fatal) == (5, False)
    server.refusal(second)
    assert server.open_requests == 1
    server.response(5, "pong")
    assert isinstance(server.receive(data)[0], Request)  # free again


@pytest.mark.parametrize("is_greeted_before", [True, False])
def test_hello_is_first_and_once_or_refused(is_greeted_before: bool) -> None:
    client, server = pair()
    asked(client, server, "x", "hello" if is_greeted_before else "ping")
    if is_greeted_before:
        server.greet()
    (event,) = server.receive(client.request("hello", {}, "y")[1])
    assert isinstance(event, Malformed)
    assert not event.is_fatal
    assert event.error.code == "INVALID_REQUEST"
    assert event.msgid == 2


def test_a_hello_that_was_refused_may_be_said_again() -> None:
    client, server = pair()
    request = asked(client, server, "x", "hello")
    server.error_response(request.msgid, InvalidParamsError("No such namespace."))
    assert asked(client, server, "y", "hello").method == "hello"


def test_a_response_to_the_server_ends_the_connection() -> None:
    _, server = pair()
    (event,) = server.receive(Encoder().response(1, None, None))
    assert isinstance(event, Malformed)
    assert event.is_fatal


def test_a_refusal_goes_to_the_msgid_or_is_the_last_words() -> None:
    _, server = pair()
    (answerable,) = server.receive(msgpack.packb([0, 9, "ping", {}]))
    assert isinstance(answerable, Malformed)
    kind, msgid, error, result = msgpack.unpackb(server.refusal(answerable))
    assert (kind, msgid, result) == (1, 9, None)
    assert error.startswith("INVALID_REQUEST: ")
    (fatal,) = server.receive(b"\xc1")
    assert isinstance(fatal, Malformed)
    kind, method, params = msgpack.unpackb(server.refusal(fatal))
    assert (kind, method) == (2, "error")
    assert params[0].startswith("PROTOCOL_ERROR: ")


def test_a_listener_that_demands_hello_takes_nothing_before_it() -> None:
    for data in (Encoder().request(3, "ping", ()), Encoder().notification("cancel", (1,))):
        server = ServerConnection(demands_hello=True)
        events = server.receive(data + Encoder().request(4, "hello", ()))
        assert len(events) == 1
        assert isinstance(events[0], Malformed)
        assert isinstance(events[0].error, UnauthenticatedError)
        assert events[0].is_fatal


def test_a_stranger_may_send_little_until_it_is_greeted() -> None:
    large = Encoder().request(2, "embed", [{"texts": ["x" * 20_000]}])
    server = ServerConnection(demands_hello=True)
    assert server.receive(Encoder().request(1, "hello", [{"token": "t"}]))
    server.greet()
    server.response(1, {})
    assert isinstance(server.receive(large)[0], Request)
    (event,) = ServerConnection(demands_hello=True).receive(large[:100])
    assert isinstance(event, Malformed)
    assert event.error.code == "FRAME_TOO_LARGE"


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_no_bytes_make_either_side_raise(noise: list[bytes]) -> None:
    client, server = pair()
    client.request("ping", {}, "w")
    for data in noise:
        client.receive(data)
        for event in server.receive(data):
            if isinstance(event, Malformed):
                server.refusal(event)
