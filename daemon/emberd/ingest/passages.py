"""Cutting a text into passages that fit the model's window.

The only module that knows semantic-text-splitter. Its splitters can count tokens themselves, at
0.3 MB/s, since they tokenise every candidate anew; counting characters they cut 50 MB/s. So
characters guide them and tokens check them: a first cut is counted, which shows how many
characters a token of this text has, a second one is cut by that, and the few passages that are
still too long are cut again. That is 1.4 MB/s with a tokenizer in this process, and it needs none:
the daemon counts, with the model's own.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from semantic_text_splitter import MarkdownSplitter, TextSplitter

__all__ = ["Count", "Passage", "passages"]

Count = Callable[[list[str]], list[int]]
"""Tokens of each text, special tokens included."""

_FIRST_CHARACTERS: Final = 3  # a token: between code (3.1) and English prose (4.6)
_FILL: Final = 0.85  # of the limit, so that few passages of uneven density are over it
_FULL: Final = 0.5  # of the capacity: from here on a passage ends where the text pauses
_CLOSE: Final = 0.15
_SMALL_PART: Final = 6  # of the limit: a piece under a sixth of it is small
_ADDED_TOKENS: Final = 2  # to each text that is counted, by nearly every tokenizer
_BLANK_HEAD: Final = re.compile(r"(?:[^\S\n]*\n)+")


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a text, without blank lines around it."""

    text: str
    line: int
    """Its first line, counted from 1."""


@dataclass(frozen=True, slots=True)
class _Piece:
    start: int
    text: str
    tokens: int = 0


def passages(text: str, *, tokens: int, is_markdown: bool, count: Count) -> list[Passage]:
    """Passages of at most `tokens`, as `count` counts them, cut where the text itself pauses:
    before headings, between blocks, paragraphs, lines, sentences, words.

    Every character but white space is in exactly one of them.
    """
    cut = _markdown_cut if is_markdown else _plain_cut
    starts = [0, *accumulate(len(line) + 1 for line in text.split("\n"))]
    pieces = _fitted(text, tokens, cut, count)
    return [_placed(piece, starts) for piece in map(_trimmed, pieces) if piece.text]


_Cut = Callable[[str, int], list[tuple[int, str]]]


def _markdown_cut(text: str, characters: int) -> list[tuple[int, str]]:
    return MarkdownSplitter(_range(characters), trim=False).chunk_indices(text)


def _plain_cut(text: str, characters: int) -> list[tuple[int, str]]:
    return TextSplitter(_range(characters), trim=False).chunk_indices(text)


def _range(characters: int) -> tuple[int, int]:
    return max(1, int(characters * _FULL)), characters


def _fitted(text: str, tokens: int, cut: _Cut, count: Count) -> list[_Piece]:
    if len(text.encode("utf-8", "replace")) <= tokens - _ADDED_TOKENS:
        return [_Piece(0, text)]  # no token is shorter than a byte
    guess = tokens * _FIRST_CHARACTERS
    pieces = _counted(cut(text, guess), count)
    capacity = _capacity(pieces, tokens)
    if abs(capacity - guess) > guess * _CLOSE:
        pieces = _counted(cut(text, capacity), count)
    return _joined(list(_within(pieces, tokens, count)), text, tokens)


def _counted(found: Iterable[tuple[int, str]], count: Count) -> list[_Piece]:
    found = [(start, text) for start, text in found if text.strip()]
    counts = count([text for _, text in found]) if found else []
    return [_Piece(start, text, n) for (start, text), n in zip(found, counts, strict=True)]


def _capacity(pieces: list[_Piece], tokens: int) -> int:
    """Characters that `tokens` hold in a text like this."""
    characters = sum(len(piece.text) for piece in pieces)
    counted = sum(piece.tokens for piece in pieces)
    return max(1, int(tokens * _FILL * characters / max(counted, 1)))


def _within(pieces: list[_Piece], tokens: int, count: Count) -> Iterator[_Piece]:
    """The pieces, with those that are too long cut again until they fit."""
    for piece in pieces:
        if piece.tokens <= tokens or len(piece.text) < 2:
            yield piece
            continue
        capacity = min(_capacity([piece], tokens), len(piece.text) - 1)
        parts = _counted(_plain_cut(piece.text, capacity), count)
        moved = [_Piece(piece.start + part.start, part.text, part.tokens) for part in parts]
        yield from _within(moved, tokens, count)


def _joined(pieces: list[_Piece], text: str, tokens: int) -> list[_Piece]:
    """Small pieces put to the next one where both fit: a heading alone answers no question."""
    joined: list[_Piece] = []
    for piece in pieces:
        last = joined[-1] if joined else None
        if last is not None and _is_better_whole(last, piece, tokens):
            end = piece.start + len(piece.text)
            both = last.tokens + piece.tokens - _ADDED_TOKENS
            joined[-1] = _Piece(last.start, text[last.start : end], both)
        else:
            joined.append(piece)
    return joined


def _is_better_whole(first: _Piece, second: _Piece, tokens: int) -> bool:
    is_small = min(first.tokens, second.tokens) <= tokens // _SMALL_PART
    # One to spare: the seam may be a token of its own.
    return is_small and first.tokens + second.tokens - _ADDED_TOKENS < tokens


def _trimmed(piece: _Piece) -> _Piece:
    """Without blank lines at its ends; the indentation of its first line stays."""
    head = _BLANK_HEAD.match(piece.text)
    skipped = head.end() if head else 0
    return _Piece(piece.start + skipped, piece.text[skipped:].rstrip())


def _placed(piece: _Piece, starts: list[int]) -> Passage:
    return Passage(piece.text, bisect_right(starts, piece.start))
