"""Judging a message by its first bytes, before the rest of it is there.

Headers claim sizes. A message whose claims cannot fit is refused at its head instead of being
buffered up to the cap first. Formats: https://github.com/msgpack/msgpack/blob/master/spec.md
"""

from __future__ import annotations

from typing import Final, NamedTuple

from emberd.wire.limits import Limits
from emberd.wire.messages import is_msgid

__all__ = ["HEAD_BYTES", "MESSAGE_HEADS", "is_over_limits", "request_msgid"]

HEAD_BYTES: Final = 4_096
_MAX_HEADERS: Final = 64  # some 15 us of Python at most

MESSAGE_HEADS: Final = frozenset({0x93, 0x94, 0xDC, 0xDD})
"""The first byte of a message: an array of 3 or 4, packed tightly or not. Any other byte means
that the peer speaks another protocol."""


class _Form(NamedTuple):
    """How one tag byte continues: `width` bytes of length or, where that is 0, a fixed `size`."""

    kind: str  # "scalar", "string", "bin", "array" or "map"
    width: int = 0
    size: int = 0
    extra: int = 0  # the type byte of an extension


def _forms() -> dict[int, _Form]:
    forms = {tag: _Form("scalar") for tag in (*range(0x80), *range(0xE0, 0x100))}
    forms |= {0x80 + n: _Form("map", size=n) for n in range(16)}
    forms |= {0x90 + n: _Form("array", size=n) for n in range(16)}
    forms |= {0xA0 + n: _Form("string", size=n) for n in range(32)}
    forms |= {tag: _Form("scalar") for tag in (0xC0, 0xC2, 0xC3)}
    forms |= {0xC4 + n: _Form("bin", width=1 << n) for n in range(3)}
    forms |= {0xC7 + n: _Form("bin", width=1 << n, extra=1) for n in range(3)}
    forms |= {0xCA: _Form("scalar", size=4), 0xCB: _Form("scalar", size=8)}
    forms |= {0xCC + n: _Form("scalar", size=1 << n) for n in range(4)}
    forms |= {0xD0 + n: _Form("scalar", size=1 << n) for n in range(4)}
    forms |= {0xD4 + n: _Form("bin", size=1 << n, extra=1) for n in range(5)}
    forms |= {0xD9 + n: _Form("string", width=1 << n) for n in range(3)}
    forms |= {0xDC + n: _Form("array", width=2 << n) for n in range(2)}
    forms |= {0xDE + n: _Form("map", width=2 << n) for n in range(2)}
    return forms


_FORMS: Final = _forms()


def is_over_limits(head: bytes, limits: Limits) -> bool:
    """Whether the message that starts with `head` claims more than `limits` allow.

    Looks at the first 64 headers; False means only that nothing was found there.
    """
    caps = {
        "string": limits.string_bytes,
        "bin": limits.bin_bytes,
        "array": limits.array,
        "map": limits.map,
    }
    position, owed = 0, 1  # elements that must still come: at least a byte each
    for _ in range(_MAX_HEADERS):
        if not owed or position >= len(head) or head[position] not in _FORMS:
            break
        kind, width, size, extra = _FORMS[head[position]]
        start = position + 1
        if start + width > len(head):
            break
        if width:
            size = int.from_bytes(head[start : start + width])
        if size > caps.get(kind, size):
            return True
        position = start + width
        owed -= 1
        if kind in {"array", "map"}:
            owed += size if kind == "array" else 2 * size
        else:
            position += size + extra
    return position + owed > limits.frame_bytes


def request_msgid(head: bytes) -> int | None:
    """The msgid of the request that starts with `head`, so that its refusal can be addressed."""
    for start, prefix in ((1, b"\x94"), (3, b"\xdc\x00\x04"), (5, b"\xdd\x00\x00\x00\x04")):
        if head.startswith(prefix + b"\x00"):
            return _unsigned(head[start + 1 :])
    return None


def _unsigned(data: bytes) -> int | None:
    if not data:
        return None
    if data[0] < 0x80:
        return data[0]
    width = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}.get(data[0], 0)
    if not width or len(data) <= width:
        return None
    msgid = int.from_bytes(data[1 : 1 + width])
    return msgid if is_msgid(msgid) else None
