"""Golden bytes: the wire format of protocol 1, byte for byte.

A change here breaks clients that exist. Add new forms beside the old ones; alter none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from emberd.errors import OverloadedError, TextTooLongError
from emberd.wire import (
    ClientConnection,
    Decoder,
    Encoder,
    Limits,
    Malformed,
    Notification,
    Reply,
    Request,
    Response,
    ServerConnection,
)
from emberd.wire.vectors import decode_vectors, encode_vectors

PING = bytes.fromhex("94 00 01 a4 70696e67 90")
PONG = bytes.fromhex("94 01 01 c0 a4 706f6e67")
CANCEL = bytes.fromhex("93 02 a6 63616e63656c 91 07")
LARGEST_MSGID = bytes.fromhex("94 00 ce ffffffff a4 70696e67 90")

HELLO = bytes.fromhex(
    "94 00 01 a5 68656c6c6f 91 84"
    "a6 636c69656e74 a6 676f6c64656e"  # client: golden
    "a8 70726f746f636f6c 92 01 01"  # protocol: [1, 1]
    "a9 6e616d657370616365 a7 64656661756c74"  # namespace: default
    "a3 706964 cd 04d2"  # pid: 1234
)
HELLO_PARAMS = {"client": "golden", "protocol": [1, 1], "namespace": "default", "pid": 1234}

EMBED = bytes.fromhex(
    "94 00 02 a5 656d626564 91 82"
    "a5 7465787473 92 a5 68656c6c6f a6 77c3b6726c64"  # texts: hello, w(o umlaut)rld
    "a8 7472756e63617465 a5 7374617274"  # truncate: start
)
EMBED_PARAMS = {"texts": ["hello", "wörld"], "truncate": "start"}

EMBED_REPLY = bytes.fromhex(
    "94 01 02 c0 83"
    "a5 6d6f64656c a1 6d"  # model: m
    "a7 766563746f7273 83"  # vectors:
    "a5 6474797065 a3 663332"  # dtype: f32
    "a5 7368617065 92 02 02"  # shape: [2, 2]
    "a4 64617461 c4 10 0000803f 00000000 000000bf 0000003f"  # 1, 0, -0.5, 0.5, little-endian
    "a4 68697473 81 a6 6d656d6f7279 01"  # hits: {memory: 1}
)
VECTORS = np.array([[1, 0], [-0.5, 0.5]], np.float32)

ERROR_MAP = bytes.fromhex(
    "94 01 03 85"
    "a4 636f6465 aa 4f5645524c4f41444544"  # code: OVERLOADED
    "a7 6d657373616765 a5 46756c6c2e"  # message: Full.
    "a9 726574727961626c65 c3"  # retryable: true
    "ae 72657472795f61667465725f6d73 cc fa"  # retry_after_ms: 250
    "a7 64657461696c73 81 a5 7175657565 07"  # details: {queue: 7}
    "c0"
)
ERROR_TEXT = bytes.fromhex(
    "94 01 03 b8 544558545f544f4f5f4c4f4e473a20546f6f206c6f6e672e c0"  # TEXT_TOO_LONG: Too long.
)

VECTOR_FORMS: dict[str, dict[str, Any]] = {
    "f32": {
        "dtype": "f32",
        "shape": [2, 2],
        "data": bytes.fromhex("0000803f 00000000 000000bf 0000003f"),
    },
    "f16": {"dtype": "f16", "shape": [2, 2], "data": bytes.fromhex("003c 0000 00b8 0038")},
    "i8": {
        "dtype": "i8",
        "shape": [2, 2],
        "data": bytes.fromhex("7f 00 81 7f"),
        "scale": bytes.fromhex("0402013c 0402813b"),
    },
    "bit": {"dtype": "bit", "shape": [2, 2], "data": bytes.fromhex("80 40")},
}


def read(data: bytes) -> Any:
    (event,) = Decoder(Limits()).feed(data)
    return event


def test_requests_are_packed_so() -> None:
    encoder = Encoder()
    assert encoder.request(1, "ping", ()) == PING
    assert encoder.request(0xFFFFFFFF, "ping", ()) == LARGEST_MSGID
    assert encoder.request(1, "hello", [HELLO_PARAMS]) == HELLO
    assert encoder.request(2, "embed", [EMBED_PARAMS]) == EMBED
    assert encoder.notification("cancel", (7,)) == CANCEL


def test_requests_are_read_so() -> None:
    assert read(PING) == Request(1, "ping", [], len(PING))
    assert read(LARGEST_MSGID).msgid == 0xFFFFFFFF
    assert read(HELLO).params == [HELLO_PARAMS]
    assert read(EMBED).params == [EMBED_PARAMS]
    assert read(CANCEL) == Notification("cancel", [7], len(CANCEL))


def test_the_clients_first_request_is_these_bytes() -> None:
    connection: ClientConnection[str] = ClientConnection()
    assert connection.request("hello", HELLO_PARAMS, "w") == (1, HELLO)
    assert connection.request("embed", EMBED_PARAMS, "w") == (2, EMBED)


def test_replies_are_packed_so() -> None:
    server = ServerConnection()
    result = {"model": "m", "vectors": encode_vectors(VECTORS, "f32"), "hits": {"memory": 1}}
    assert server.response(1, "pong") == PONG
    assert server.response(2, result) == EMBED_REPLY
    assert server.error_response(3, TextTooLongError("Too long.")) == ERROR_TEXT
    server.greet()
    error = OverloadedError("Full.", retry_after_ms=250, details={"queue": 7})
    assert server.error_response(3, error) == ERROR_MAP


def test_replies_are_read_so() -> None:
    assert read(PONG) == Response(1, None, "pong", len(PONG))
    result = read(EMBED_REPLY).result
    assert (result["model"], result["hits"]) == ("m", {"memory": 1})
    assert decode_vectors(result["vectors"]).tolist() == VECTORS.tolist()


@pytest.mark.parametrize(
    ("data", "kind"), [(ERROR_MAP, OverloadedError), (ERROR_TEXT, TextTooLongError)]
)
def test_errors_are_read_so(data: bytes, kind: type[Exception]) -> None:
    connection: ClientConnection[str] = ClientConnection()
    for _ in range(3):
        connection.request("ping", {}, "w")
    (reply,) = connection.receive(data)
    assert isinstance(reply, Reply)
    assert type(reply.error) is kind


@pytest.mark.parametrize("dtype", VECTOR_FORMS)
def test_vectors_are_packed_and_read_so(dtype: str) -> None:
    form = VECTOR_FORMS[dtype]
    assert encode_vectors(VECTORS, dtype) == form
    back = decode_vectors(form)
    expected = np.where(VECTORS > 0, 1, -1) / np.sqrt(2) if dtype == "bit" else VECTORS
    np.testing.assert_allclose(back, expected, atol=1e-6)


def test_the_last_words_before_a_connection_closes_are_packed_so() -> None:
    server = ServerConnection()
    (event,) = server.receive(b"\xc1")
    assert isinstance(event, Malformed)
    head = bytes.fromhex("93 02 a5 6572726f72 91 d9")  # [2, "error", [text of 32 bytes or more
    assert server.refusal(event).startswith(head)
