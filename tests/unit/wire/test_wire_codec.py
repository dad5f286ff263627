"""The codec: what goes in comes out, however the bytes arrive, and nothing a peer sends raises."""

from __future__ import annotations

import itertools
import tracemalloc
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from emberd.errors import FrameTooLargeError, InternalError, InvalidParamsError, ProtocolError
from emberd.wire import Decoder, Encoder, Limits, Malformed, Notification, Request, Response
from emberd.wire.snapshot import DaemonStats
from emberd.wire.unpack import SMALL_BYTES

MSGIDS = st.integers(0, 0xFFFFFFFF)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=40)
    | st.binary(max_size=40)
)
VALUES = st.recursive(
    SCALARS,
    lambda children: (
        st.lists(children, max_size=6) | st.dictionaries(st.text(max_size=8), children, max_size=6)
    ),
    max_leaves=20,
)
PARAMS = st.lists(VALUES, max_size=4)
METHODS = st.text(max_size=20)

TIGHT = Limits(frame_bytes=60, array=12, map=6, string_bytes=24, bin_bytes=16, elements=10)
ANY_LIMITS = st.sampled_from([TIGHT, Limits(), Limits.for_strangers(), Limits.for_replies()])


def packed_messages() -> st.SearchStrategy[bytes]:
    encoder = Encoder()
    return (
        st.builds(encoder.request, MSGIDS, METHODS, PARAMS)
        | st.builds(encoder.response, MSGIDS, VALUES, VALUES)
        | st.builds(encoder.notification, METHODS, PARAMS)
    )


def odd_values() -> st.SearchStrategy[bytes]:
    """Valid MessagePack that is seldom a message."""
    heads = st.lists(st.integers(-1, 3) | VALUES, max_size=5)
    extension = st.binary(max_size=5).map(lambda data: [0, 7, "m", [msgpack.ExtType(5, data)]])
    keys = st.integers().map(lambda key: [0, 8, "m", [{key: 1}]])
    return (heads | extension | keys).filter(_can_be_packed).map(msgpack.packb)


def _can_be_packed(value: Any) -> bool:
    try:
        msgpack.packb(value)
    except OverflowError:
        return False
    return True


def streams() -> st.SearchStrategy[bytes]:
    """Messages, near-messages and noise, one after the other."""
    part = packed_messages() | odd_values() | st.binary(max_size=12)
    return st.lists(part, max_size=5).map(b"".join)


def plain(event: Any) -> tuple[Any, ...]:
    """An event as something that compares."""
    if isinstance(event, Malformed):
        return ("malformed", event.error.code, event.error.message, event.msgid, event.is_fatal)
    return (type(event).__name__, repr(event))


def decoded(chunks: list[bytes], limits: Limits | None = None) -> list[tuple[Any, ...]]:
    decoder = Decoder(limits or Limits())
    return [plain(event) for chunk in chunks for event in decoder.feed(chunk)]


def only(data: bytes, limits: Limits | None = None) -> Any:
    events = Decoder(limits or Limits()).feed(data)
    assert len(events) == 1
    return events[0]


@given(MSGIDS, METHODS, PARAMS)
def test_a_request_comes_back_as_it_went(msgid: int, method: str, params: list[Any]) -> None:
    data = Encoder().request(msgid, method, params)
    assert only(data) == Request(msgid, method, params, len(data))


@given(MSGIDS, VALUES, VALUES)
def test_a_response_comes_back_as_it_went(msgid: int, error: Any, result: Any) -> None:
    data = Encoder().response(msgid, error, result)
    assert only(data) == Response(msgid, error, result, len(data))


@given(MSGIDS, VALUES, VALUES)
def test_a_result_that_is_packed_already_goes_out_like_any_other(
    msgid: int, error: Any, result: Any
) -> None:
    packed = msgspec.Raw(msgspec.msgpack.encode(result))
    data = Encoder().response(msgid, error, packed)
    assert only(data) == Response(msgid, error, result, len(data))


@given(METHODS, PARAMS)
def test_a_notification_comes_back_as_it_went(method: str, params: list[Any]) -> None:
    data = Encoder().notification(method, params)
    assert only(data) == Notification(method, params, len(data))


@given(streams(), st.lists(st.integers(0, 400), max_size=12), ANY_LIMITS)
@example(b"\x94\x00\x01\xa1a" + b"\xdd\x00\x00\x00\x01" * 3, [3, 9], TIGHT)
def test_any_split_of_the_stream_gives_the_same_events(
    stream: bytes, cuts: list[int], limits: Limits
) -> None:
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    pieces = [stream[start:end] for start, end in itertools.pairwise(edges)]
    whole = decoded([stream], limits)
    assert decoded(pieces, limits) == whole
    assert decoded([bytes([byte]) for byte in stream], limits) == whole


@given(st.binary(max_size=300) | streams())
def test_no_bytes_of_a_peer_make_the_decoder_raise(noise: bytes) -> None:
    decoder = Decoder(TIGHT)
    events = decoder.feed(noise)
    fatal = [
        index
        for index, event in enumerate(events)
        if isinstance(event, Malformed) and event.is_fatal
    ]
    assert all(isinstance(events[index].error, ProtocolError) for index in fatal)
    assert fatal in ([], [len(events) - 1])
    if fatal:
        assert decoder.feed(Encoder().request(1, "ping", ())) == []


def test_pipelined_requests_come_out_in_order_from_one_read() -> None:
    encoder = Encoder()
    data = b"".join(encoder.request(msgid, "ping", ()) for msgid in range(300))
    assert [event.msgid for event in Decoder(Limits()).feed(data)] == list(range(300))


@pytest.mark.parametrize("size", [4_095, 4_096, 4_097, SMALL_BYTES - 1, SMALL_BYTES])
@pytest.mark.parametrize("limits", [Limits(), Limits.for_replies()])
def test_messages_of_every_size_come_out_the_same(size: int, limits: Limits) -> None:
    small = Encoder().request(1, "ping", ())
    large = b"\x94\x00\x02\xa1m\x91\xc6" + (size - 11).to_bytes(4) + bytes(size - 11)
    for stream in (large, small + large[: -len(small)], large + small, small + large):
        wanted = decoded([bytes([byte]) for byte in stream], limits)
        assert decoded([stream], limits) == wanted
        assert decoded([stream, small], limits) == decoded([stream + small], limits)


@pytest.mark.parametrize("count", [511, 512, 513, 4_000])
def test_a_small_message_may_have_as_many_elements_as_any(count: int) -> None:
    (event,) = Decoder(Limits()).feed(msgpack.packb([0, 1, "m", [0] * count]))
    assert event.params == [0] * count


@pytest.mark.parametrize("claim", [512, 513, 65_535])
def test_a_small_message_gets_no_room_for_what_it_only_claims(claim: int) -> None:
    nested = (b"\xdc" + claim.to_bytes(2)) * 1_000  # arrays in arrays
    tracemalloc.start()
    try:
        Decoder(Limits()).feed(b"\x94\x00\x07\xa1m\x91" + nested)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_decoder_takes_any_buffer_and_keeps_no_hold_on_it() -> None:
    data = Encoder().request(1, "embed", [{"texts": ["a"]}])
    decoder = Decoder(Limits())
    arrived = bytearray(data + data[:9])
    assert len(decoder.feed(memoryview(arrived))) == 1
    arrived.clear()  # BufferError where a view were still held
    assert len(decoder.feed(memoryview(data)[9:])) == 1


def test_a_large_message_leaves_the_decoder_in_step() -> None:
    encoder = Encoder()
    large = encoder.request(1, "embed", [{"texts": ["word " * 500_000]}])
    small = encoder.request(2, "ping", ())
    decoder = Decoder(Limits())
    stream = large + small + large + small
    pieces = [stream[start : start + 262_144] for start in range(0, len(stream), 262_144)]
    events = [event for piece in pieces for event in decoder.feed(piece)]
    assert [event.msgid for event in events] == [1, 2, 1, 2]
    assert decoder.buffered_bytes == 0


@pytest.mark.parametrize(
    "value",
    [
        [0, 7, "embed"],
        [0, 7, "embed", {}],
        [0, 7, "embed", None],
        [0, 7, 5, []],
        [0, 7],
        [0, 7, "embed", [], 1],
        [0, 7, "embed", [msgpack.ExtType(3, b"x")]],
        [0, 7, "embed", [msgpack.Timestamp(1)]],
        [0, 7, "embed", [{5: 1}]],
    ],
)
def test_a_bad_request_with_a_msgid_costs_only_itself(value: Any) -> None:
    encoder = Encoder()
    head = 4 - len(value)
    data = msgpack.packb(value)
    if head:  # two elements: not even an array of 3 or 4
        data = b"\xdd" + len(value).to_bytes(4) + data[1:]
    events = Decoder(Limits()).feed(data + encoder.request(8, "ping", ()))
    assert isinstance(events[0], Malformed)
    assert (events[0].msgid, events[0].is_fatal) == (7, False)
    assert events[1].msgid == 8


@pytest.mark.parametrize(
    "value",
    [
        [3, 7, "embed", []],
        [True, 7, "embed", []],
        [False, 7, "embed", []],
        ["0", 7, "embed", []],
        [0, -1, "embed", []],
        [0, 1 << 32, "embed", []],
        [0, True, "embed", []],
        [0, 1.0, "embed", []],
        [1, 7, None],
        [1, None, None, 1],
        [2, "cancel", {}],
        [2, 5, []],
        [2, "cancel", [], 1],
        [2, "cancel", [msgpack.ExtType(3, b"x")]],
    ],
)
def test_what_cannot_be_answered_ends_the_stream(value: Any) -> None:
    event = only(msgpack.packb(value))
    assert event.is_fatal
    assert event.error.code == "PROTOCOL_ERROR"


@pytest.mark.parametrize("text", [b"GET / HTTP/1.1\r\n", b'{"jsonrpc": "2.0"}', b"\x16\x03\x01"])
def test_another_protocol_is_refused_at_its_first_byte(text: bytes) -> None:
    event = only(text[:1])
    assert event.is_fatal
    assert "MessagePack-RPC" in event.error.message


def test_messages_before_a_fault_are_not_lost() -> None:
    encoder = Encoder()
    events = Decoder(Limits()).feed(encoder.request(1, "ping", ()) + b"\xc1")
    assert isinstance(events[0], Request)
    assert isinstance(events[1], Malformed)


def test_method_names_packed_as_bin_are_read() -> None:
    assert only(msgpack.packb([0, 1, b"ping", []])).method == "ping"
    assert only(msgpack.packb([2, b"cancel", [1]])).method == "cancel"


def test_strings_of_the_old_raw_type_are_strings() -> None:
    data = msgpack.packb([0, 1, "embed", [{"texts": ["x" * 200]}]], use_bin_type=False)
    assert only(data).params == [{"texts": ["x" * 200]}]


def test_a_text_that_is_not_utf8_reaches_the_service_marked() -> None:
    bad = b"\x94\x00\x01\xa5embed\x91\x81\xa5texts\x92\xa2ok\xa2\xff\xfe"
    assert only(bad).params == [{"texts": ["ok", "\udcff\udcfe"]}]


def test_a_hundred_thousand_texts_reach_the_service() -> None:
    data = Encoder().request(1, "embed", [{"texts": ["a few words"] * 100_000}])
    pieces = [data[start : start + 65_536] for start in range(0, len(data), 65_536)]
    decoder = Decoder(Limits())
    events = [event for piece in pieces for event in decoder.feed(piece)]
    assert len(events[0].params[0]["texts"]) == 100_000


BOMBS = {
    "nested arrays": b"\xdd\x00\x02\x00\x00" * 1_100,
    "nested arrays in a request": b"\x94\x00\x07\xa5embed\x91" + b"\xdd\x00\x02\x00\x00" * 1_100,
    "nested maps": b"\x94\x00\x07\xa5embed\x91" + b"\x81\xa1a" * 1_100,
    "an array of four thousand million": b"\x94\x00\x07\xa5embed\xdd\xff\xff\xff\xff",
    "a map of four thousand million": b"\x94\x00\x07\xa5embed\x91\xdf\xff\xff\xff\xff",
    "a bin of two gigabytes": b"\x94\x00\x07\xa5embed\x91\xc6\x7f\xff\xff\xff",
    "a string of four gigabytes": b"\x94\x00\x07\xa5embed\x91\xdb\xff\xff\xff\xff",
    "a method of four gigabytes": b"\x94\x00\x07\xdb\xff\xff\xff\xff",
    "an extension of four gigabytes": b"\x94\x00\x07\xa5embed\x91\xc9\xff\xff\xff\xff\x05",
    "an array one over": b"\x94\x00\x07\xa5embed\xdd\x00\x02\x00\x01",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_ends_the_stream_at_its_head(name: str) -> None:
    """Its claims are refused before what they claim has come, so nothing is held or built."""
    decoder = Decoder(Limits())
    events = decoder.feed(BOMBS[name])
    assert len(events) == 1
    assert isinstance(events[0], Malformed)
    assert events[0].is_fatal
    assert isinstance(events[0].error, ProtocolError)
    assert decoder.buffered_bytes == 0
    if name != "nested arrays":
        assert events[0].msgid == 7  # so that it can be answered


def test_a_message_of_many_tiny_maps_is_refused_by_its_elements() -> None:
    limits = Limits(elements=1_000)
    inner = msgpack.packb([{}] * 900)
    data = b"\x94\x00\x07\xa1m\xdc\x00\x50" + inner * 80
    assert len(data) > 65_536
    event = only(data, limits)
    assert isinstance(event.error, FrameTooLargeError)
    assert event.msgid == 7


@pytest.mark.parametrize("size", [1_999, 2_000, 2_001])
def test_a_frame_is_taken_up_to_the_cap_and_not_beyond(size: int) -> None:
    data = b"\x94\x00\x07\xa1m\x91\xc5" + (size - 9).to_bytes(2) + bytes(size - 9)
    assert len(data) == size
    limits = Limits(frame_bytes=2_000)
    for pieces in ([data], [data[:3], data[3:]], [data[:-1], data[-1:]]):
        decoder = Decoder(limits)
        events = [event for piece in pieces for event in decoder.feed(piece)]
        assert isinstance(events[0], Request if size <= 2_000 else Malformed)


def test_a_frame_that_only_grows_is_refused_once_it_is_over_the_cap() -> None:
    decoder = Decoder(Limits(frame_bytes=5_000, array=10_000))
    assert decoder.feed(b"\x94\x00\x07\xa1m\xdc\x07\xd0") == []
    assert decoder.feed(b"\xa3abc" * 1_100) == []
    (event,) = decoder.feed(b"\xa3abc" * 200)
    assert isinstance(event.error, FrameTooLargeError)
    assert event.msgid == 7


def test_a_strict_encoder_names_a_string_that_utf8_cannot_carry() -> None:
    with pytest.raises(InvalidParamsError, match="surrogate"):
        Encoder().request(1, "embed", [{"texts": ["\udcff"]}])


def test_a_lenient_encoder_answers_whatever_was_echoed() -> None:
    data = Encoder(lenient=True).response(1, "INVALID_PARAMS: \udcff", None)
    assert only(data).error == "INVALID_PARAMS: \\udcff"


def test_an_encoder_goes_on_after_a_value_that_it_could_not_pack() -> None:
    encoder = Encoder()
    with pytest.raises(InternalError):
        encoder.response(1, None, {"a": "b", "c": object()})
    assert encoder.response(2, None, 5) == msgpack.packb([1, 2, None, 5])


def test_structs_pack_as_maps() -> None:
    data = Encoder().response(1, None, DaemonStats(version="1", pid=2))
    assert only(data).result["pid"] == 2
