"""What is written when: together, but not so late that the peer waits for nothing."""

from __future__ import annotations

import asyncio

from emberd.config import LimitSettings
from emberd.server.outbox import Outbox


class Written(asyncio.Transport):
    """Takes everything, as a peer does that reads at once."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """It has no buffer."""

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False


def outbox_on(transport: Written) -> Outbox:
    return Outbox(transport, LimitSettings(), on_flushed=lambda: None, on_cut_off=transport.abort)


def test_small_messages_are_written_together() -> None:
    transport = Written()
    outbox = outbox_on(transport)
    for _ in range(100):
        outbox.add(b"12345678")
    assert not transport.writes
    assert outbox
    outbox.flush()
    assert transport.writes == [b"12345678" * 100]
    assert not outbox


def test_a_peer_gets_much_to_read_before_all_is_there() -> None:
    transport = Written()
    outbox = outbox_on(transport)
    parts = [bytes([number]) * 30_000 for number in range(10)]
    for part in parts:
        outbox.add(part)
    assert 2 <= len(transport.writes) < len(parts)
    outbox.flush()
    assert b"".join(transport.writes) == b"".join(parts)


async def test_messages_of_one_turn_of_the_loop_are_flushed_once() -> None:
    transport = Written()
    outbox = outbox_on(transport)
    for _ in range(3):
        outbox.add(b"abc")
        outbox.flush_soon()
    assert not transport.writes
    await asyncio.sleep(0)
    assert transport.writes == [b"abcabcabc"]
