"""One rule of LMDB's pages that `lmdb.verify` leaves out, though a write relies on it.

In a branch or leaf page the nodes lie without a gap from `upper` to the page's end. Where a flipped
bit says otherwise, the next insert or delete in that page writes past its end.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from struct import Struct, unpack_from

__all__ = ["is_tiled", "untiled_page_in"]

_HEADER = Struct("=QHHHH")  # page number, padding, flags, lower, upper
_NODE = Struct("=HHHH")  # size of the data in two halves, flags, size of the key
_BRANCH, _LEAF = 1, 2
_BIG_DATA = 1  # the data is elsewhere, its page number here
_PAGE_NUMBER_BYTES = 8
_CHUNK_BYTES = 4 << 20


def is_tiled(page: bytes) -> bool:
    """Do a branch or leaf page's nodes fill it from `upper` to its end, without a gap?"""
    _, _, flags, lower, upper = _HEADER.unpack_from(page)
    if lower % 2 or not _HEADER.size <= lower <= upper <= len(page):
        return False
    places = unpack_from(f"={(lower - _HEADER.size) // 2}H", page, _HEADER.size)
    end = upper if places else len(page)
    for place in sorted(places):
        if place != end or place + _NODE.size > len(page):
            return False
        end += _node_bytes(page, place, is_leaf=flags == _LEAF)
    return end == len(page)


def _node_bytes(page: bytes, place: int, *, is_leaf: bool) -> int:
    low, high, flags, key_bytes = _NODE.unpack_from(page, place)
    data_bytes = 0
    if is_leaf:
        data_bytes = _PAGE_NUMBER_BYTES if flags & _BIG_DATA else low | high << 16
    size = _NODE.size + key_bytes + data_bytes
    return int(size + size % 2)


def untiled_page_in(file: Path, page_bytes: int) -> str:
    """The first page that breaks the rule, in words; "" when none does.

    Free pages are looked at too: they are whole pages of the past.
    """
    for number, page in _pages(file, page_bytes):
        own_number, _, flags, _, _ = _HEADER.unpack_from(page)
        is_tree_page = own_number == number and flags in (_BRANCH, _LEAF)
        if is_tree_page and not is_tiled(page):
            return f"page {number} has nodes out of place"
    return ""


def _pages(file: Path, page_bytes: int) -> Iterator[tuple[int, bytes]]:
    step = _CHUNK_BYTES // page_bytes * page_bytes
    number = 0
    with file.open("rb") as stream:
        while chunk := stream.read(step):
            for start in range(0, len(chunk) - page_bytes + 1, page_bytes):
                yield number, chunk[start : start + page_bytes]
                number += 1
