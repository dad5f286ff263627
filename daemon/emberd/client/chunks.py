"""Cutting many texts into requests that the daemon takes."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from functools import lru_cache
from typing import Final

import msgspec

from emberd.errors import InvalidParamsError, TextTooLongError
from emberd.wire.hello import ServerLimits

__all__ = ["Chunk", "ChunkPlan", "Chunker", "achunks", "check_texts", "chunks", "cut"]

# Far below the daemon's limits: each answered chunk moves a progress line, frees its memory and
# starts its timeout anew. While one is read the daemon makes the next, so they are not large
# either; 32 in flight are 4,096 texts, enough for batches of equal length.
_TEXTS: Final = 128
_CHUNK_BYTES: Final = 2 << 20
_IN_FLIGHT: Final = 32
_ENVELOPE_BYTES: Final = 16_384  # for all of a request that is not text
_HEADER_BYTES: Final = 5
_UTF8_BYTES: Final = 4  # of one code point, at most


class Chunk(msgspec.Struct, frozen=True):
    """Texts of one request; `offset` is the index of the first in the whole call."""

    offset: int
    texts: list[str]


class ChunkPlan(msgspec.Struct, frozen=True):
    """How a call is cut."""

    texts: int = _TEXTS
    size_bytes: int = _CHUNK_BYTES
    frame_bytes: int = 64 << 20
    in_flight: int = _IN_FLIGHT

    @classmethod
    @lru_cache(maxsize=8)
    def within(cls, limits: ServerLimits) -> ChunkPlan:
        """The plan for a daemon with these limits."""
        return cls(
            texts=min(_TEXTS, limits.texts),
            size_bytes=min(_CHUNK_BYTES, limits.frame_bytes // 2),
            frame_bytes=limits.frame_bytes - _ENVELOPE_BYTES,
            in_flight=min(_IN_FLIGHT, limits.requests_in_flight),
        )

    def fits(self, texts: list[str]) -> bool:
        """Whether one chunk surely holds them all; counts code points, so it is quick."""
        if len(texts) > self.texts:
            return False
        return sum(map(len, texts)) * _UTF8_BYTES + len(texts) * _HEADER_BYTES <= self.size_bytes


class Chunker:
    """Collects texts until a chunk is full."""

    def __init__(self, plan: ChunkPlan) -> None:
        self._plan = plan
        self._texts: list[str] = []
        self._size_bytes = 0
        self._offset = 0

    def add(self, text: str) -> Chunk | None:
        """Take a text; the chunk before it, where that is full now. Raises TextTooLongError for
        a text that no request can hold, InvalidParamsError for what is no text."""
        index = self._offset + len(self._texts)
        size_bytes = _utf8_size(text, index) + _HEADER_BYTES
        if size_bytes > self._plan.frame_bytes:
            raise TextTooLongError(
                f"texts[{index}] has {size_bytes:,} bytes, more than one message may have. "
                "Cut it into passages.",
                details={"field": f"texts[{index}]", "index": index},
            )
        full = None
        if self._texts and (
            len(self._texts) >= self._plan.texts
            or self._size_bytes + size_bytes > self._plan.size_bytes
        ):
            full = self.rest()
        self._texts.append(text)
        self._size_bytes += size_bytes
        return full

    def rest(self) -> Chunk | None:
        """The texts that are in no chunk yet, as the last one."""
        if not self._texts:
            return None
        chunk = Chunk(self._offset, self._texts)
        self._offset += len(self._texts)
        self._texts, self._size_bytes = [], 0
        return chunk


def chunks(texts: Iterable[str], plan: ChunkPlan) -> Iterator[Chunk]:
    """The chunks of `texts`, holding one at a time."""
    chunker = Chunker(plan)
    for text in texts:
        if chunk := chunker.add(text):
            yield chunk
    if chunk := chunker.rest():
        yield chunk


def cut(texts: list[str], plan: ChunkPlan) -> Iterator[Chunk]:
    """The chunks of texts that are all here, at a tenth of the time where they are short."""
    spans = range(0, len(texts), plan.texts)
    if all(plan.fits(texts[start : start + plan.texts]) for start in spans):
        return (Chunk(start, texts[start : start + plan.texts]) for start in spans)
    return chunks(texts, plan)


async def achunks(
    texts: AsyncIterable[str] | Iterable[str], plan: ChunkPlan
) -> AsyncIterator[Chunk]:
    """The chunks of texts that may arrive over time."""
    if not isinstance(texts, AsyncIterable):
        for chunk in chunks(texts, plan):
            yield chunk
        return
    chunker = Chunker(plan)
    async for text in texts:
        if full := chunker.add(text):
            yield full
    if rest := chunker.rest():
        yield rest


def check_texts(texts: list[str]) -> None:
    """Raises InvalidParamsError, naming the first that is no text."""
    if set(map(type, texts)) <= {str} and all(map(str.isascii, texts)):
        return  # at a tenth of the time
    for index, text in enumerate(texts):
        _utf8_size(text, index)


def _utf8_size(text: object, index: int) -> int:
    """Bytes on the wire. Raises InvalidParamsError for what cannot travel."""
    if not isinstance(text, str):
        raise _bad_text(f"is of type {type(text).__name__}; every text must be a str", index)
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError as exc:
        raise _bad_text(
            "holds a lone surrogate (U+D800 to U+DFFF), which UTF-8 cannot carry; it was probably "
            "decoded from bytes that were not text",
            index,
        ) from exc


def _bad_text(what: str, index: int) -> InvalidParamsError:
    return InvalidParamsError(
        f"texts[{index}] {what}.", details={"field": f"texts[{index}]", "index": index}
    )
