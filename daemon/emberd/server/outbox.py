"""The writing side of a connection: one write a turn, and an end to peers that do not read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from emberd.config import LimitSettings

__all__ = ["Outbox"]

_HIGH_WATER_BYTES = 1 << 20
# From here on a peer has enough to read while the next reply is made.
_PIECE_BYTES = 1 << 16


class Outbox:
    """Collects replies and writes them together.

    A peer that leaves more than `write_mib` unread, or reads nothing for `write_s` while replies
    wait, is cut off: `on_cut_off` hears of it first.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        limits: LimitSettings,
        *,
        on_flushed: Callable[[], None],
        on_cut_off: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._limits = limits
        self._on_flushed = on_flushed
        self._on_cut_off = on_cut_off
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._is_flush_due = False
        self._unread_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self.is_paused = False
        """The peer has more than a mebibyte of replies that it did not read."""
        transport.set_write_buffer_limits(high=_HIGH_WATER_BYTES)

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, data: bytes) -> None:
        """Take a message; it is written with the next `flush`, which many bytes do not wait for."""
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= _PIECE_BYTES:
            self.flush()

    def flush_soon(self) -> None:
        """Flush once the replies of this turn of the event loop are all here."""
        if not self._is_flush_due:
            self._is_flush_due = True
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Write what waits, in one call."""
        self._is_flush_due = False
        waiting = self._waiting
        if not waiting:
            return
        data = waiting[0] if len(waiting) == 1 else b"".join(waiting)
        waiting.clear()
        self._waiting_bytes = 0
        if self._transport.is_closing():
            return
        self._transport.write(data)
        self._on_flushed()
        if self._transport.get_write_buffer_size() > self._limits.write_mib << 20:
            self._cut_off()

    def pause(self) -> None:
        """The transport's buffer is full: watch whether the peer reads at all."""
        self.is_paused = True
        self._unread_bytes = self._transport.get_write_buffer_size()
        self._watch()

    def resume(self) -> None:
        """The peer has read."""
        self.is_paused = False
        self._stop_timer()

    def close(self) -> None:
        """The connection is gone."""
        self._waiting.clear()
        self._waiting_bytes = 0
        self._stop_timer()

    def _watch(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._limits.write_s, self._check)

    def _check(self) -> None:
        unread = self._transport.get_write_buffer_size()
        if unread >= self._unread_bytes:
            self._cut_off()
        else:
            self._unread_bytes = unread
            self._watch()

    def _cut_off(self) -> None:
        self._on_cut_off()
        self._transport.abort()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
