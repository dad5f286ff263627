"""Words of a query and of a text: what the full text index is asked, what a snippet shows. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence

__all__ = ["choose_terms", "match_expression", "snippet_of", "terms_of"]

_MOST_TERMS = 32
# A word in more than a tenth of the documents says little and costs the most.
_COMMON_SHARE = 0.1
_COMMON_LEAST = 1_000

_WORD = re.compile(r"[^\W_]+")
_SPACE = re.compile(r"\s+")
# A snippet is looked for in the beginning of a long text.
_MOST_CHARACTERS = 200_000


def terms_of(query: str) -> list[str]:
    """The distinct words of a query as the index has them: small letters, no diacritics."""
    return list(dict.fromkeys(_folded(word) for word in _WORD.findall(_plain(query))))


def choose_terms(terms: Sequence[str], frequencies: Mapping[str, int], documents: int) -> list[str]:
    """The words to ask for, rarest first: without the very common ones, where others are left."""
    ordered = sorted(terms, key=lambda term: (frequencies.get(term, 0), term))
    common = max(_COMMON_LEAST, documents * _COMMON_SHARE)
    telling = [term for term in ordered if 0 < frequencies.get(term, 0) <= common]
    return (telling or [term for term in ordered if frequencies.get(term, 0)])[:_MOST_TERMS]


def match_expression(terms: Sequence[str]) -> str:
    """FTS5's question for documents with any of these words; words have no quotes in them."""
    return " OR ".join(f'"{term}"' for term in terms)


def snippet_of(text: str, terms: Sequence[str], width: int = 200) -> str:
    """The part of `text`, about `width` characters, with the most of the words; one line.

    Without any of them it is the beginning.
    """
    text = text[:_MOST_CHARACTERS]
    start = _best_start(list(_places(text, terms)), width)
    start = max(0, min(start - width // 4, len(text) - width))
    stop = min(len(text), start + width)
    start, stop = _to_words(text, start, stop)
    part = _SPACE.sub(" ", text[start:stop]).strip()
    return f"{'…' if start else ''}{part}{'…' if stop < len(text) else ''}"


def _best_start(places: list[tuple[int, str]], width: int) -> int:
    """The first of the places whose window sees the most different words, then the most words."""
    best, best_start, first = (0, 0), 0, 0
    for last, (at, _) in enumerate(places):
        while at - places[first][0] > width:
            first += 1
        seen = [term for _, term in places[first : last + 1]]
        score = (len(set(seen)), len(seen))
        if score > best:
            best, best_start = score, places[first][0]
    return best_start


def _places(text: str, terms: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Where words of the query, or longer forms of them, begin."""
    if not terms:
        return
    known = tuple(terms)
    for match in _WORD.finditer(text):
        word = _folded(match.group())
        if word.startswith(known):
            yield match.start(), next(term for term in known if word.startswith(term))


def _to_words(text: str, start: int, stop: int) -> tuple[int, int]:
    """Move the ends inwards to the next space, where one is near."""
    if start and (space := text.find(" ", start, start + 20)) >= 0:
        start = space + 1
    if stop < len(text) and (space := text.rfind(" ", stop - 20, stop)) > start:
        stop = space
    return start, stop


def _folded(word: str) -> str:
    if word.isascii():
        return word.lower()
    return _plain(word).lower()


def _plain(text: str) -> str:
    """Without diacritics, as unicode61 with remove_diacritics does."""
    if text.isascii():
        return text
    parts = unicodedata.normalize("NFD", text)
    return "".join(part for part in parts if not unicodedata.combining(part))
