"""Texts to embed: made by code, natural-looking, of known length, never the same one twice.

Every word below, and the full stop, is one token of the default model's vocabulary, so a text's
length in tokens is exact: its words, its stops, and the model's two special tokens.
"""

from __future__ import annotations

import math
import random

__all__ = ["LONGEST", "SHORTEST", "TextMaker"]

SHORTEST = 5
LONGEST = 256
_SPECIAL = 2
_KEYWORDS = 6  # shorter texts are strings of keywords, as people type them into a search
_TRIES = 20

_WORDS = {
    "determiner": "the each this every that our their one",
    "adjective": (
        "old quiet small bright narrow heavy early distant careful broken green modern simple "
        "empty warm hidden public steady rough silver"
    ),
    "noun": (
        "river engine garden letter bridge kitchen market signal harbor valley teacher painter "
        "forest machine library window station village doctor record winter journal cabinet "
        "shelter captain orchard"
    ),
    "verb": (
        "carries follows repairs crosses describes measures protects opens keeps finds paints "
        "builds collects reports answers covers reaches remembers watches guards"
    ),
    "preposition": (
        "under near behind beyond above beside across through before after against toward"
    ),
    "adverb": "slowly often again today together once carefully rarely always",
}
_CLASSES = {name: words.split() for name, words in _WORDS.items()}
_CONTENT = [word for name in ("adjective", "noun", "verb") for word in _CLASSES[name]]
_SENTENCE = (
    *("determiner", "adjective", "noun", "verb", "determiner", "adjective", "noun"),
    *("preposition", "determiner", "noun", "adverb"),
)
_OPTIONAL = {"adjective", "adverb"}


class TextMaker:
    """An endless supply of texts, the same for the same seed. No text comes twice from one maker,
    so none of them can be in a cache by accident."""

    def __init__(self, seed: int = 0) -> None:
        self._dice = random.Random(seed)  # noqa: S311 - nothing secret
        self._made: set[str] = set()

    def mixed(self, count: int, *, shortest: int = SHORTEST, longest: int = LONGEST) -> list[str]:
        """Texts of mixed lengths: log-uniform, as many of 5 to 36 tokens as of 36 to 256, and 64
        on average. Real collections look so: many titles and lines, few full pages."""
        low, high = math.log(shortest), math.log(longest + 1)
        lengths = [int(math.exp(self._dice.uniform(low, high))) for _ in range(count)]
        return [self.text(min(max(length, shortest), longest)) for length in lengths]

    def uniform(self, count: int, *, shortest: int = SHORTEST, longest: int = LONGEST) -> list[str]:
        """Texts of which every length is as likely as every other: 130 tokens on average."""
        return [self.text(self._dice.randint(shortest, longest)) for _ in range(count)]

    def text(self, tokens: int) -> str:
        """A text of so many tokens, special ones included; of more where all of that length that
        were tried have been given out."""
        for attempt in range(10 * _TRIES):
            text = self._draw(tokens + attempt // _TRIES)
            if text not in self._made:
                self._made.add(text)
                return text
        raise RuntimeError("the words do not suffice for so many texts")

    def _draw(self, tokens: int) -> str:
        units = max(2, tokens - _SPECIAL)
        return self._keywords(units) if units <= _KEYWORDS else self._prose(units)

    def _keywords(self, units: int) -> str:
        return " ".join(self._dice.choice(_CONTENT) for _ in range(units))

    def _prose(self, units: int) -> str:
        """Sentences; the last is cut so that the units (words and stops) are exact."""
        parts: list[str] = []
        while units > 0:
            words = self._sentence()[: units - 1]
            if not words:  # room for a stop only: a word takes its place
                parts.append(self._dice.choice(_CLASSES["adverb"]))
                break
            parts.append(" ".join(words).capitalize() + ".")
            units -= len(words) + 1
        return " ".join(parts)

    def _sentence(self) -> list[str]:
        return [
            self._dice.choice(_CLASSES[name])
            for name in _SENTENCE
            if name not in _OPTIONAL or self._dice.random() < 0.6
        ]
