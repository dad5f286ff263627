"""What one message may hold. Each side of a connection has its own limits."""

from __future__ import annotations

import msgspec

from emberd.config import LimitSettings

__all__ = ["Limits"]

_MIB = 1 << 20
# A request that is too large for the service must still be read, so that the service can name
# the field and the limit: arrays have room for eight times the texts that are allowed.
_TEXTS_HEADROOM = 8


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Caps on one incoming message; over one of them the connection ends.

    Depth has no field: the scanner's own stack ends at 1,024 levels, before anything is built.
    """

    frame_bytes: int = 64 * _MIB
    """Largest message; refused as soon as its head claims more, before the rest is read."""
    array: int = 131_072
    """Elements of one array."""
    map: int = 65_536
    """Pairs of one map."""
    string_bytes: int = 64 * _MIB
    bin_bytes: int = 64 * _MIB
    elements: int | None = 1 << 20
    """Elements of all arrays and maps of a message together; None means no limit. One byte on the
    wire can be 64 bytes of memory, so this is what bounds the cost of a hostile message."""

    @classmethod
    def from_settings(cls, settings: LimitSettings) -> Limits:
        """The limits of the daemon's side."""
        frame_bytes = settings.frame_mib * _MIB
        return cls(
            frame_bytes=frame_bytes,
            array=max(131_072, _TEXTS_HEADROOM * settings.texts),
            string_bytes=frame_bytes,
            bin_bytes=frame_bytes,
        )

    @classmethod
    def for_replies(cls) -> Limits:
        """The limits of a client's side: generous, since it asked for what it gets."""
        return cls(
            frame_bytes=1_024 * _MIB,
            array=1 << 24,
            map=1 << 20,
            string_bytes=1_024 * _MIB,
            bin_bytes=1_024 * _MIB,
            elements=None,
        )

    @classmethod
    def for_strangers(cls) -> Limits:
        """The limits of a TCP peer that has not shown its token: enough for a `hello`."""
        return cls(
            frame_bytes=16_384,
            array=64,
            map=64,
            string_bytes=8_192,
            bin_bytes=0,
            elements=256,
        )
