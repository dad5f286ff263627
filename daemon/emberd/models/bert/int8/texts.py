"""The texts that ranges are calibrated on, and others on which the result is measured.

Both come from files beside this module, in many languages and kinds: prose, searches, code, logs,
lists, numbers. From each passage shorter texts are cut, down to a word, and passages are joined to
texts that fill a model's window. The same texts every time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

__all__ = ["calibration_texts", "held_out_texts"]

_FOLDER = Path(__file__).parent
_JOINED = 9  # passages, some 400 tokens
_EVERY = 8
# Rulers, tables and lists meet channels that no sentence does, and so do single words.
_SENTENCES = ("The bell rang again, and again nobody came. ", "red blue ", "0, 1, ", "ja nein ")
_LINES = ("- item\n", "© 2010 A. Holder\n", "a = b\n")
_SIGNS = ("-", "# ", "=", "*", "~", "_", ".", "#", "--- ", "| ")


def calibration_texts() -> list[str]:
    """About 800 texts, of 1 to 500 tokens."""
    words = (_FOLDER / "words.txt").read_text("utf-8").split()
    return [*_texts("calibration.txt"), *words, *_repeated()]


def held_out_texts() -> list[str]:
    """About 150 texts of the same kinds; they are not used to calibrate."""
    return list(_texts("held_out.txt"))


def _texts(name: str) -> Iterator[str]:
    passages = (_FOLDER / name).read_text("utf-8").rstrip("\n").split("\n%\n")
    yield from passages
    for index, passage in enumerate(passages):
        words = passage.split()
        yield words[index % len(words)]
        if len(words) > 6:
            start = index % (len(words) - 5)
            yield " ".join(words[start : start + 2 + index % 4])
    for start in range(0, len(passages) - _JOINED + 1, _EVERY):
        yield "\n".join(passages[start : start + _JOINED])


def _repeated() -> Iterator[str]:
    for index, text in enumerate((*_SENTENCES, *_LINES, *_SIGNS)):
        yield text * (12 + 9 * (index % 4))
        yield f"{text * (8 + 8 * (index % 3))}\nChapter {index + 1}\n{text * 20}"
